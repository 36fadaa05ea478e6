"""What a user may change of a preset, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mene.bench.run import as_compared
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.judge.calibration import Calibration
from mene.judge.preset import load_preset
from mene.judge.settings import changed
from mene.scale import Scale

PRESET = load_preset("openai:toy@http://localhost")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tempersture": 0.3}, 'no setting "tempersture"; did you mean "temperature"'),
        ({"swap": True}, 'no setting "swap"'),
        ({"name": "other"}, 'no setting "name"'),
        ({"samples": 2.5}, "a whole number, 1 or more"),
        ({"samples": "3"}, "a whole number, 1 or more"),
        ({"temperature": "hot"}, "give 0"),
        ({"truncate": "foo"}, "truncate"),
        ({"seed": "abc"}, "seed"),
        ({"critique_tokens": -5}, "critique_tokens"),
        ({"abstain": "perhaps"}, "abstain"),
    ],
)
def test_what_is_no_setting_is_refused(settings: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        changed(PRESET, **settings)


def test_what_nobody_names_stays() -> None:
    preset = PRESET.model_copy(update={"temperature": 0.5, "about": "mine"})
    new = changed(preset, mode="verdict", seed=7)
    assert (new.temperature, new.about, new.mode, new.seed) == (0.5, "mine", "verdict", 7)
    assert changed(preset, mode=None, seed=None).seed == preset.seed


def test_a_calibration_of_pairs_is_for_the_comparison_it_was_learned_on() -> None:
    pair = Criterion(name="pair", question="Which?", scale=Scale.pairwise())
    learned = Calibration(
        criterion="pair", question="Which?", labels=pair.scale.labels, mode="verdict", method="none"
    )
    assert learned.fits(pair, "verdict", "t", "pointwise")  # it does not say
    learned = learned.model_copy(update={"compare": "together"})
    assert learned.fits(pair, "verdict", "t", "together")
    assert not learned.fits(pair, "verdict", "t", "pointwise")


def test_figures_of_another_comparison_have_a_name_of_their_own() -> None:
    preset = PRESET.model_copy(update={"name": "mine", "compare": "pointwise"})
    assert as_compared(preset, None).name == as_compared(preset, "pointwise").name == "mine"
    assert as_compared(preset, "both-orders").name == "mine-together"
    seen = preset.model_copy(update={"compare": "both-orders"})
    assert as_compared(seen, "together").name == "mine"  # the set's protocol decides
    assert as_compared(seen, "pointwise").name == "mine-pointwise"
