"""Build the documentation site: ``python docs/build.py``. To look at it: ``python -m http.server -d build/docs/site``.

Needs ``pip install -e ".[docs]"``. The pages are those of docs/, README.md and its neighbours as they are, notebooks, and what
is made from the code; docs/made makes and gathers them. The build ends with 1 where a link or a name leads nowhere, a page is not
in the navigation, or a browser would load anything from another site.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from made import api, cli, fences, http, links, nested, notebooks

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "docs"
# A page shows it, or a reader downloads it.
COPIED = (".png", ".svg", ".css", ".ipynb")
REMOTE = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]+>"""
)
NOT_LOADED = re.compile(r"""rel=["']?(?:canonical|next|prev|edit)""")


def main() -> int:
    """The exit code."""
    shutil.rmtree(OUT, ignore_errors=True)
    stage(OUT)
    if missing := not_in_navigation(OUT):
        return refused("pages that are not in the navigation (docs/mkdocs.yml)", missing)
    zensical = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(
        zensical, cwd=OUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if built.returncode:  # behind what it found stands a traceback
        return refused("zensical", built.stdout.split("Traceback")[0].splitlines())
    if found := remote(OUT / "site"):
        return refused("loaded from other sites", found)
    print(
        f"{len(list((OUT / 'site').rglob('*.html')))} pages in {(OUT / 'site').relative_to(ROOT)}"
    )
    return 0


def refused(what: str, found: list[str]) -> int:
    """Say it, and the exit code."""
    print("\n  ".join([f"{what}:", *found]), file=sys.stderr)
    return 1


def stage(out: Path) -> None:
    """Put all pages, what they show, and the configuration into a folder, where zensical reads them."""
    docs = ROOT / "docs"
    pages = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted(docs.rglob("*.md"))
    }
    made, pictures, cookbooks = notebooks.pages(docs)
    pages |= made | {f"docs/{one.PAGE}": one.page() for one in (api, cli, http)}
    pages |= {path: links.shown(path) for path in links.outside(pages)}
    pages[links.START] = (
        f"---\nhide: [navigation]\n---\n\n{pages[links.START]}"  # it has the width for itself
    )
    for path, text in pages.items():
        page = fences.coloured(nested.deepened(links.turned(path, text)))
        write(out / "pages" / links.site_path(path), page.encode())
    for path in sorted(docs.rglob("*")):
        if path.suffix in COPIED:
            pictures[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    for path, content in pictures.items():
        write(out / "pages" / path.removeprefix("docs/"), content)
    configured = (docs / "mkdocs.yml").read_text("utf-8")
    filled = "".join(f"\n      - {entry}" for entry in cookbooks)
    configured = re.sub(
        r"^  - Cookbooks: \[\].*\n",
        f"  - Cookbooks:{filled}\n" if filled else "",
        configured,
        flags=re.M,
    )
    write(out / "mkdocs.yml", configured.encode())


def write(path: Path, content: bytes) -> None:
    """A file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def not_in_navigation(out: Path) -> list[str]:
    """Pages that no menu leads to. Files of the repository that a page links to need none."""
    navigation = (out / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1]
    named = set(re.findall(r"[\w/.-]+\.md", navigation))
    pages = {path.relative_to(out / "pages").as_posix() for path in (out / "pages").rglob("*.md")}
    return sorted(
        page for page in pages - named if not page.startswith(("repository/", "cookbooks/data/"))
    )


def remote(site: Path) -> list[str]:
    """What pages would load from elsewhere."""
    return [
        f"{page.relative_to(site)}: {tag[0]}"
        for page in sorted(site.rglob("*.html"))
        for tag in REMOTE.finditer(page.read_text("utf-8"))
        if not NOT_LOADED.search(tag[0])
    ]


if __name__ == "__main__":
    sys.exit(main())
