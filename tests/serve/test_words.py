from __future__ import annotations

import pytest
from test_app import run

from mene.engines.steps import ROOM
from mene.errors import ContextOverflow
from mene.serve.words import told

ROW = {"sample": {"response": "Hi."}, "criterion": "Is it polite?"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"criterion": "faithfulness"}, '"context" is missing or empty, and faithfulness needs it; add it'),
        ({"mode": "verdict", "draws": 3}, 'use "mode": "critique", or "draws": 1'),
    ],
)  # fmt: skip
def test_a_client_is_told_of_keys_and_not_of_options(more, said):
    async def test(app):
        text = (await app.post("/v1/judge", {**ROW, **more})).json()["verdicts"][0]["error"]
        assert text.endswith(said) and "--" not in text

    run(test)


def test_a_prompt_that_is_too_long_for_any_wire():
    text = told(ContextOverflow(f"the prompt has 9 tokens; {ROOM}"))
    assert 'cut its context with "truncate": "context" (/v1/judge), shorten' in text
    assert "--" not in text
