"""Battles in a running arena, fought in a real browser: voters who prefer the judge that says what a person had said.

    mene arena serve --judge nano,small --database battles.db --newcomers 0 &
    python benchmarks/arena_battles.py http://127.0.0.1:8090 --battles 100

Each voter draws a sample, runs two judges, and votes: for the only one with the person's label; where both or neither have it,
for the clearly longer reason, else a tie or both bad. One vote in ten is a throw of dice. Where the arena draws from a file
(``--samples``), name it here too: that is where the persons' labels come from. Needs playwright, and the system's Chromium.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from mene.arena.samples import bundled

SLOWEST_MS = 400_000
WAIT_S = 10  # after too many votes


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--battles", type=int, default=100, help="battles with a vote")
    parser.add_argument("--voters", type=int, default=2, help="browsers at once")
    parser.add_argument("--samples", type=Path, help="JSON lines that the arena draws from")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    labels, draw = labels_of(asked.samples), random.Random(asked.seed)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        pages = [newcomer(browser, asked.url) for _ in range(asked.voters)]
        voted = failed = 0
        while voted < asked.battles:
            for page in pages:
                begin(page, draw)
            for page in pages[: asked.battles - voted]:
                done = vote(page, labels, draw)
                voted, failed = voted + done, failed + (not done)
                print(f"{time.strftime('%H:%M:%S')}  {voted} voted, {failed} without", flush=True)


def labels_of(path: Path | None) -> dict[str, str | None]:
    """Beginning of a response -> what a person had said of it."""
    if path is None:
        rows = [(row.sample.response or row.sample.response_a, row.label) for row in bundled()]
    else:
        lines = map(json.loads, path.read_text("utf-8").splitlines())
        rows = [(row.get("response") or row["response_a"], row.get("label")) for row in lines]
    return {key(text or ""): label for text, label in rows}


def key(text: str) -> str:
    """What a response is found by, however its white space is shown."""
    return " ".join(text.split()[:12])


def newcomer(browser: Any, url: str) -> Any:
    """A voter who agrees to the terms."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.set_default_timeout(SLOWEST_MS)
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.click("#agree button")
    page.wait_for_selector("#agree", state="hidden")
    return page


def begin(page: Any, draw: random.Random) -> None:
    """Run two judges, on another sample or, one time in five, once more on the same."""
    if page.is_visible("#next"):
        page.keyboard.press("n" if draw.random() < 0.8 else "r")
        page.wait_for_timeout(300)
    if page.is_visible("#run"):
        page.keyboard.press("Control+Enter")


def vote(page: Any, labels: dict[str, str | None], draw: random.Random) -> bool:
    """Wait for both verdicts, and vote; False where the battle ended without one."""
    page.wait_for_selector("#vote:visible, #next:visible")
    if not page.is_visible("#vote"):
        print(page.inner_text("#status"))
        return False
    said = labels.get(key(page.inner_text(".text.response p, .text.response_a p")))
    while True:
        page.keyboard.press(choice(page, said, draw))
        page.wait_for_selector("#outcome:visible, #status [role=alert]")
        if page.is_visible("#outcome"):
            return True
        print(page.inner_text("#status"))
        time.sleep(WAIT_S)


def choice(page: Any, said: str | None, draw: random.Random) -> str:
    """The key of a vote: 1 A, 2 tie, 3 both bad, 4 B."""
    if draw.random() < 0.1:
        return draw.choice("1234")
    labels = [page.inner_text(f".seat >> nth={seat} >> .verdict") for seat in (0, 1)]
    reasons = [len(page.inner_text(f".seat >> nth={seat} >> .critique")) for seat in (0, 1)]
    right = [label.removeprefix("Response ") == said for label in labels]
    if right[0] != right[1]:
        return "1" if right[0] else "4"
    if abs(reasons[0] - reasons[1]) < 20 or (said is not None and not right[0]):
        return "2" if right[0] else "3"
    return "1" if reasons[0] > reasons[1] else "4"


if __name__ == "__main__":
    sys.exit(main())
