"""Build the documentation site into ``site/``, strictly: ``python docs/build.py``; ``python docs/build.py --serve`` while writing.

Needs ``pip install -e ".[docs]"``. A link that leads nowhere, a page that is not in the navigation, a name without its docstring's
object, or anything that a browser would load from another site ends it with 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?(https?:)?//[^"'\s>]+[^>]*>""")
KNOWN = re.compile(r"""rel=["']?(?:canonical|next|prev|edit)""")


def remote(site: Path) -> list[str]:
    """What pages of the site would load from elsewhere."""
    return [
        f"{page.relative_to(site)}: {tag[0]}"
        for page in sorted(site.rglob("*.html"))
        for tag in LOADED.finditer(page.read_text("utf-8"))
        if not KNOWN.search(tag[0])
    ]


def main(arguments: list[str]) -> int:
    """The exit code."""
    mkdocs = [sys.executable, "-m", "mkdocs"]
    if arguments == ["--serve"]:
        return subprocess.run([*mkdocs, "serve"], cwd=ROOT).returncode
    if arguments:
        print("usage: python docs/build.py [--serve]", file=sys.stderr)
        return 2
    if code := subprocess.run([*mkdocs, "build", "--strict", "--clean", "--quiet"], cwd=ROOT).returncode:
        return code
    if found := remote(ROOT / "site"):
        print("\n".join(["loaded from other sites:", *found]), file=sys.stderr)
        return 1
    print(f"{len(list((ROOT / 'site').rglob('*.html')))} pages in site/")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
