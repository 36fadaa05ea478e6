"""Chat templates that open a thought themselves."""

from __future__ import annotations

import pytest

from mene.engines.thought import closed

TURN = "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("opening", "ending"),
    [
        ("<think>\n", "</think>"),
        ("<think>", "</think>"),
        ("<Thinking>\n\n", "</Thinking>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]", "[/THINK]"),
        ("<reasoning>", "</reasoning>"),
        ("<|begin_of_thought|>\n", "<|end_of_thought|>"),
        ("◁think▷", "◁/think▷"),
    ],
)
def test_an_open_thought_is_closed(opening: str, ending: str) -> None:
    assert closed(TURN + opening) == f"{TURN}{opening.strip()}\n\n{ending}\n\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TURN,
        TURN + "<think>\n\n</think>\n\n",
        "<think> is a tag\n" + TURN,
        TURN + "think>",
        TURN + "<answer>",
    ],
)
def test_anything_else_stays_as_it_is(text: str) -> None:
    assert closed(text) == text
