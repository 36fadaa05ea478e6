"""A pair becomes the tokens that a judge reads and should write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mene import Criterion, Sample, Scale
from mene.curate.critiques.critique import Argued
from mene.curate.pairs import critique_pair, pairs_of, reason_pair
from mene.curate.raw.sources import Point
from mene.recipe import load_recipe

pytest.importorskip("torch")
pytest.importorskip("transformers")

from mene.engines.in_process.tree import Tree
from mene.engines.transformers.model import Loaded
from mene.train.examples import example
from mene.train.model import open_model

POINT = Point(
    Sample(id="1", response="The shop opens at nine."),
    Criterion(name="polite", question="Is it polite?", scale=Scale.binary()),
    "No", "g", "s/1", "s", critique='It only says "opens at nine".',
)  # fmt: skip
ARGUED = Argued(POINT, 'It only says "opens at nine".', "Yes", "It greets the guest.")


@pytest.fixture(scope="module")
def loaded(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    recipe = {"base": {"path": str(base)}, "data": {"sources": {"hanna": 1}}}
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    path.write_text(json.dumps(recipe))
    return open_model(load_recipe(str(path)), "cpu")


def text(loaded: Loaded, tokens: Sequence[int]) -> str:
    return loaded.tokenizer.decode(tokens)


def test_a_reason_ends_the_turn(loaded: Loaded) -> None:
    pair = reason_pair(ARGUED, load_recipe("nano"))
    one = example(pair, loaded)
    asked = loaded.chat([m._asdict() for m in pair.messages])
    end = loaded.tokenizer.eos_token
    for completion, reason in zip(one.completions, (ARGUED.right, ARGUED.other), strict=True):
        written = text(loaded, one.prompt + completion)
        assert written == f"{asked}{pair.opening} {reason}{end}"
    # The judge writes all but the opening.
    assert text(loaded, one.prompt).startswith(f"{asked}{pair.opening}")


def test_a_critique_is_followed_by_its_label(loaded: Loaded) -> None:
    pair = critique_pair(ARGUED, load_recipe("nano"))
    one = example(pair, loaded)
    asked, end = (
        loaded.chat([m._asdict() for m in pair.messages]),
        loaded.tokenizer.eos_token,
    )
    for completion, answer in zip(one.completions, (pair.chosen, pair.rejected), strict=True):
        assert text(loaded, one.prompt + completion) == f"{asked}{answer}{end}"


def test_a_reason_shares_the_prompt_of_its_label(loaded: Loaded) -> None:
    recipe = load_recipe("nano")
    [verdict] = pairs_of(POINT, recipe)
    label, reason = example(verdict, loaded), example(reason_pair(ARGUED, recipe), loaded)
    answered = label.prompt + label.completions[0]
    assert reason.prompt[: len(answered)] == answered
    both = Tree.of([answered, reason.prompt + reason.completions[0]])
    assert len(both.ids) == len(reason.prompt + reason.completions[0])
