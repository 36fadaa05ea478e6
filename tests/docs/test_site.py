"""What the site adds to the pages: references made from code, pages for linked files, pages of notebooks.

The reference of commands is tested in test_shell.py, where they are imported already.
"""

from __future__ import annotations

import base64
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

import mene
from docs.made import api, fences, links, nested, notebooks

ROOT = Path(__file__).parents[2]


def test_all_names_of_the_package_are_in_the_reference() -> None:
    page = api.page()
    for name in mene.__all__:
        assert re.search(rf"^::: mene\.(?:errors\.)?{name}$", page, flags=re.M), name
    for place, name in re.findall(r"^::: (mene[\w.]*)\.(\w+)$", page, flags=re.M):
        assert getattr(import_module(place), name).__doc__


def test_the_routes_are_in_the_reference() -> None:
    pytest.importorskip("starlette", reason='needs pip install "mene[serve]"')
    from docs.made import http

    page = http.page()
    for path, methods in http.document()["paths"].items():
        for method in methods:
            assert f"## {method.upper()} {path}\n" in page
    named = set(re.findall(r"\]\(#(\w+)\)", page))
    assert named and named <= {
        heading.lower() for heading in re.findall(r"^### (\w+)$", page, flags=re.M)
    }


def test_links_are_turned_to_where_pages_are() -> None:
    text = "[a](docs/gate.md#rules) [b](#x) [c](https://h/x.md) [d](examples/rag.jsonl) `[e](docs/gate.md)` ![f](docs/report.png)\n"
    assert links.turned("README.md", text) == (
        "[a](gate.md#rules) [b](#x) [c](https://h/x.md) [d](repository/examples/rag.jsonl.md) `[e](docs/gate.md)` ![f](report.png)\n"
    )
    assert (
        links.turned("docs/research/nano.md", "[a](../nano.md) [b](../../README.md)")
        == "[a](../nano.md) [b](../index.md)"
    )
    assert (
        links.turned("docs/bench.md", "[a](../src/mene/bench/sets)")
        == "[a](repository/src/mene/bench/sets.md)"
    )
    code = "```\n[a](docs/gate.md)\n```\n"
    assert links.turned("README.md", code) == code
    assert (
        links.turned("examples/README.md", "[a](../docs/gate.md) [b](rag.jsonl)")
        == "[a](../../gate.md) [b](rag.jsonl.md)"
    )


def test_every_file_that_a_page_links_to_is_on_the_site() -> None:
    pages = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in (ROOT / "docs").rglob("*.md")
    }
    found = links.outside(pages)
    assert set(found) >= {
        "README.md",
        "CONTRIBUTING.md",
        "examples/README.md",
        "src/mene/stats/intervals.py",
        "runs/README.md",
    }
    assert len(set(found)) == len(found)
    for path in found:
        assert links.shown(path).strip()


def test_a_model_card_is_shown_without_its_head() -> None:
    card = "src/mene/library/judges/nano/README.md"
    assert (ROOT / card).read_text("utf-8").startswith("---\n") and links.shown(card).startswith(
        "# "
    )


def test_languages_of_blocks() -> None:
    for code, language in (
        ("mene judge x.jsonl\n", "sh"), ("pip install mene\n", "sh"), ("$ mene judge x\nrag-1  No\n", "console"),
        (">>> 1\n1\n", "pycon"), ("rag-03  No  p=0.91\n", "text"), ("RAY_ADDRESS=h:1 mene judge x\n", "sh"), ("", "text"),
    ):  # fmt: skip
        assert fences.guessed(code) == language
    page = "1. a\n\n    ```\n    mene judge x\n    ```\n\n```python\nx\n```\n"
    assert [(one.line, one.language, one.code) for one in fences.blocks(page)] == [
        (4, "sh", "mene judge x\n"), (8, "python", "x\n"),
    ]  # fmt: skip
    assert fences.coloured(page) == page.replace("```\n    mene", "```sh\n    mene")


def test_what_is_in_an_item_of_a_numbered_list_stays_there() -> None:
    page = "1. a\n   - b\n     c\n\n   ```\n   d\n   ```\n2. e\n\nf\n   g\n"
    assert (
        nested.deepened(page)
        == "1. a\n    - b\n      c\n\n    ```\n    d\n    ```\n2. e\n\nf\n   g\n"
    )


def test_a_notebook_becomes_a_page(tmp_path) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mred\x1b[0m\n", "two\n"]},
        {
            "output_type": "display_data",
            "data": {"image/png": base64.b64encode(b"png").decode(), "text/plain": "<Figure>"},
        },
        {
            "output_type": "execute_result",
            "data": {"text/html": "<style>x</style><table>1</table>", "text/plain": "1"},
        },
        {
            "output_type": "execute_result",
            "data": {"text/html": "<script>draw()</script>", "text/plain": "alt.Chart(...)"},
        },
        {"output_type": "error", "traceback": ["ValueError: no"]},
    ]
    cells = [
        {
            "cell_type": "markdown",
            "source": ["# Many criteria\n", "\n", "Judge *twice*, as in [gate](../gate.md).\n"],
        },
        {"cell_type": "code", "source": "print('```')", "outputs": outputs},
        {"cell_type": "code", "source": "%%bash\nmene judge x.jsonl -c tone", "outputs": []},
    ]
    (tmp_path / "cookbooks").mkdir()
    (tmp_path / "cookbooks" / "many.ipynb").write_text(json.dumps({"cells": cells}))
    pages, pictures, navigation = notebooks.pages(tmp_path)
    page = pages["docs/cookbooks/many.md"]
    assert pictures == {"docs/cookbooks/many-1.png": b"png"}
    for shown in (
        "````python\nprint('```')\n````", "red\ntwo", "![](many-1.png)", "<table>1</table>", "alt.Chart(...)", "ValueError: no",
        "```sh\nmene judge x.jsonl -c tone\n```", 'href="../many.ipynb"',
    ):  # fmt: skip
        assert shown in page, shown
    assert "<script" not in page and "\x1b" not in page and "<style" not in page
    assert navigation == ["cookbooks/README.md", '"Many criteria": cookbooks/many.md']
    assert (
        "- [Many criteria](many.ipynb): Judge *twice*, as in gate."
        in pages["docs/cookbooks/README.md"]
    )
    (tmp_path / "cookbooks" / "README.md").write_text("# Mine")
    assert "docs/cookbooks/README.md" not in notebooks.pages(tmp_path)[0]


def test_without_notebooks_nothing_is_listed(tmp_path) -> None:
    assert notebooks.pages(tmp_path) == ({}, {}, [])
