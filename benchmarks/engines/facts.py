"""What is said beside the figures: the processor, the size of an install, wheels and dates from PyPI."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

SETS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "sve",
    "bf16",
)
PLATFORMS = {
    "Linux x86-64": r"linux.*x86_64",
    "Linux ARM64": r"linux.*aarch64",
    "macOS ARM64": r"macosx.*(arm64|universal2)",
    "macOS x86-64": r"macosx.*(x86_64|universal2)",
    "Windows x86-64": r"win_amd64",
    "Windows ARM64": r"win_arm64",
}


def processor(threads: int) -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"(?:flags|Features)\s*: (.*)", text)
    has = set(flags[1].split()) if flags else set()
    return {
        "name": name[1] if name else platform.processor() or platform.machine(),
        "sets": [one for one in SETS if one in has],
        "threads": threads,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


# Run in the candidate's environment: the bytes of the packages and of all that they need, as pip recorded them.
MEASURE = """
import importlib.metadata as m, json, re, sys
todo, seen, total = sys.argv[1:], {}, 0
while todo:
    name = re.sub(r'[-_.]+', '-', todo.pop()).lower()
    if name in seen: continue
    try: found = m.distribution(name)
    except m.PackageNotFoundError: continue
    seen[name] = found.version
    total += sum(f.size or 0 for f in found.files or ())
    for line in found.requires or ():
        if 'extra ==' not in line: todo.append(re.match(r'[A-Za-z0-9_.-]+', line)[0])
print(json.dumps({'bytes': total, 'packages': seen}))
"""


def install(python: str, packages: tuple[str, ...]) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-c", MEASURE, *packages], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def published(package: str) -> dict[str, Any]:
    """Newest version, its day, and the platforms and Pythons that it has wheels for; empty without a network."""
    try:
        page = (
            httpx.get(f"https://pypi.org/pypi/{package}/json", timeout=20).raise_for_status().json()
        )
    except (httpx.HTTPError, ValueError):
        return {}
    names = [file["filename"] for file in page["urls"] if file["filename"].endswith(".whl")]
    tags = [name.removesuffix(".whl").split("-", 2)[-1] for name in names]
    pure = any(tag.endswith("-any") for tag in tags)
    return {
        "version": page["info"]["version"],
        "day": max((file["upload_time"][:10] for file in page["urls"]), default=""),
        "platforms": [
            what
            for what, pattern in PLATFORMS.items()
            if pure or any(re.search(pattern, t) for t in tags)
        ],
        "pythons": sorted({p for tag in tags for p in re.findall(r"\b(?:cp3\d+|py3|abi3)\b", tag)}),
        "largest_wheel": max(
            (f["size"] for f in page["urls"] if f["filename"].endswith(".whl")), default=0
        ),
        "licence": page["info"].get("license_expression")
        or (page["info"].get("license") or "")[:40],
    }
