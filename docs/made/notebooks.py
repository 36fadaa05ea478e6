"""Notebooks of docs/cookbooks as pages: their text, their code, and the outputs that are stored in them. None is run here."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

FOLDER = "cookbooks"
INDEX = ("README.md", "index.md")
HEAD = """# Cookbooks

Whole pieces of work, as notebooks with what came out. Each page links to its notebook, to run it yourself.

"""


def converted(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by the names that it shows them under.

    Args:
        name: of its file, without its ending.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = joined(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            shell = re.match(r"%%(?:bash|sh)\n", source)
            parts.append(
                fenced(source[shell.end() :] if shell else source, "sh" if shell else "python")
            )
            for output in cell["outputs"]:
                picture = f"{name}-{len(pictures) + 1}"
                parts.append(shown(output, picture, pictures))
    link = f'<a href="../{name}.ipynb" download>This notebook</a>\n'
    return "\n\n".join([part for part in parts if part] + [link]), pictures


def joined(source: str | list[str]) -> str:
    """Text of a notebook, which may be in lines."""
    return source if isinstance(source, str) else "".join(source)


def fenced(code: str, language: str) -> str:
    """A block of code, whatever is in it."""
    fence = "`" * (1 + max([2, *map(len, re.findall(r"`{3,}", code))]))
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def shown(output: dict[str, Any], picture: str, pictures: dict[str, bytes]) -> str:
    """One output: text, a table in HTML, or a picture. What a page could show only with a script is its text."""
    if output["output_type"] == "stream":
        return output_text(joined(output["text"]))
    if output["output_type"] == "error":
        return output_text("\n".join(output["traceback"]))
    data = output["data"]
    if "image/svg+xml" in data:
        pictures[f"{picture}.svg"] = joined(data["image/svg+xml"]).encode()
        return f"![]({picture}.svg)"
    if "image/png" in data:
        pictures[f"{picture}.png"] = base64.b64decode(joined(data["image/png"]))
        return f"![]({picture}.png)"
    if "text/markdown" in data:
        return joined(data["text/markdown"])
    html = joined(data.get("text/html", ""))
    if html and "<script" not in html:
        return f'<div class="output">{re.sub(r"<style.*?</style>", "", html, flags=re.S)}</div>'.replace(
            "\n\n", "\n"
        )
    return output_text(joined(data.get("text/plain", "")))


def output_text(text: str) -> str:
    """What was printed, without the colours of a terminal."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return (
        f'<div class="output" markdown="1">\n\n{fenced(plain, "text")}\n\n</div>'
        if plain.strip()
        else ""
    )


def title_and_first(text: str) -> tuple[str, str]:
    """A page's heading, and the first sentences below it."""
    title = re.search(r"^# +(.+)$", text, re.M)
    after = text[title.end() :] if title else text
    first = next(
        (part for part in re.split(r"\n\s*\n", after.strip()) if re.match(r"[\w*`\"“]", part)), ""
    )
    return title[1].strip() if title else "A notebook", re.sub(
        r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(first.split())
    )


def pages(docs: Path) -> tuple[dict[str, str], dict[str, bytes], list[str]]:
    """A page for each notebook, and one that lists them where nobody wrote one.

    Returns:
        pages and pictures by their paths in the repository, and the titles and paths of the pages in their order, as they
        stand in the navigation (``Title: cookbooks/name.md``); nothing of it without a notebook.
    """
    made: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    listed, navigation = [], []
    for path in sorted((docs / FOLDER).glob("*.ipynb")):
        text, found = converted(json.loads(path.read_text("utf-8")), path.stem)
        made[f"docs/{FOLDER}/{path.stem}.md"] = text
        pictures.update({f"docs/{FOLDER}/{name}": content for name, content in found.items()})
        title, first = title_and_first(text)
        listed.append(f"- [{title}]({path.name}){f': {first}' if first else ''}")
        navigation.append(f"{json.dumps(title, ensure_ascii=False)}: {FOLDER}/{path.stem}.md")
    if navigation:
        written = any((docs / FOLDER / name).is_file() for name in INDEX)
        index = next((name for name in INDEX if (docs / FOLDER / name).is_file()), INDEX[0])
        if not written:
            made[f"docs/{FOLDER}/{index}"] = HEAD + "\n".join(listed) + "\n"
        navigation.insert(0, f"{FOLDER}/{index}")
    return made, pictures, navigation
