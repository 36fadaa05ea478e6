"""Links on the site and on GitHub: pages link to files of the repository, and on the site these are pages too.

A page of docs/ links to ``../examples/README.md`` or ``../src/mene/stats/intervals.py``, and README.md is the site's first page.
GitHub follows such links in the repository. Here every file that is linked becomes a page (text as it is, code as code), those
that these link to as well, and the links are turned to where the pages are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).parents[2]
START = "README.md"  # of the repository: the site's first page
ALWAYS = (START, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")  # in the site's navigation
LINK = re.compile(r"(\]\()([^()\s]+)(\))")
CODE = re.compile(r"^( *)(```+).*?^\1\2 *$|``.+?``|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".sh": "sh",
    ".json": "json",
    ".toml": "toml",
}


def site_path(path: str) -> str:
    """Where a file of the repository is on the site, both from their roots."""
    if path == START:
        return "index.md"
    if path.startswith("docs/"):
        path = path.removeprefix("docs/")
        return re.sub(r"\.ipynb$", ".md", path)
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"


def target(page: str, link: str) -> str | None:
    """The file that a link on a page means, from the repository's root; None for links to other sites or within the page."""
    name = link.partition("#")[0]
    if not name or re.match(r"[a-z][a-z+.-]*:|/", name):
        return None
    return normpath(str(PurePosixPath(page).parent / name))


def links(page: str, text: str) -> Iterator[str]:
    """Files of the repository that a page links to."""
    for match in LINK.finditer(CODE.sub("", text)):
        if found := target(page, match[2]):
            yield found


def turned(page: str, text: str) -> str:
    """A page's text with its links turned to where their targets are on the site."""
    here = PurePosixPath(site_path(page)).parent

    def turn(match: re.Match[str]) -> str:
        found = target(page, match[2])
        if found is None or not (found.startswith("docs/") or is_text(ROOT / found)):
            return match[0]
        anchor = "".join(match[2].partition("#")[1:])
        return f"{match[1]}{relpath(site_path(found), here)}{anchor}{match[3]}"

    kept, parts = 0, []
    for code in CODE.finditer(text):
        parts += [LINK.sub(turn, text[kept : code.start()]), code[0]]
        kept = code.end()
    return "".join([*parts, LINK.sub(turn, text[kept:])])


def is_text(path: Path) -> bool:
    """Is it shown as a page (and not an image that a page shows, or nothing)?"""
    return path.is_dir() or (path.is_file() and path.suffix not in (".png", ".svg", ".gz"))


def shown(path: str) -> str:
    """A file or folder of the repository as a page."""
    file = ROOT / path
    if path.endswith(".md"):  # a model card begins with what the hub reads
        return re.sub(r"\A---\n.*?\n---\n+", "", file.read_text("utf-8"), flags=re.S)
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    if file.is_dir():
        return head + "\n".join(
            f"- [{one}]({PurePosixPath(path).name}/{one})" for one in inside(path)
        )
    code = file.read_text("utf-8")
    fence = "`" * (1 + max([2, *map(len, re.findall(r"^`{3,}", code, re.MULTILINE))]))
    return f"{head}{fence}{LANGUAGES.get(file.suffix, 'text')}\n{code.rstrip()}\n{fence}\n"


def inside(path: str) -> list[str]:
    """Names of the files in a folder."""
    return sorted(
        file.name
        for file in (ROOT / path).iterdir()
        if file.is_file() and file.name != "__init__.py"
    )


def outside(pages: dict[str, str]) -> list[str]:
    """Files outside of docs/ that pages link to, those that these link to, and those that are always there.

    Args:
        pages: text of each page of docs/, by its path in the repository.
    """
    found: list[str] = list(ALWAYS)
    to_read = list(pages.items()) + [(path, shown(path)) for path in found]
    while to_read:
        page, text = to_read.pop()
        for path in links(page, text):
            file = ROOT / path
            if path in found or path.startswith("docs/") or not is_text(file):
                continue
            found.append(path)
            to_read.append((path, shown(path)))
    return found
