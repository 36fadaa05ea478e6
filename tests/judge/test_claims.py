"""Claim by claim: the worst claim speaks for the response."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from threading import Event
from typing import Any

import pytest

from mene import Criterion, Judge, Sample, Scale, Verdict
from mene.criterion import load_criterion
from mene.engines.base import Completion, Request, best
from mene.errors import EngineError, UsageError
from mene.judge.calibration import Calibration
from mene.judge.claims import MOST, claims_of, failing_claims, joined, weakest
from mene.judge.jury import Jury
from mene.judge.preset import load_preset
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.tables import Row

ASKED = load_criterion("faithfulness")
CONTEXT = "Ada was born in 1815 in London."


class Reader:
    """An engine that says No to a response with a given word in it, the surer the more often."""

    identity = "reader:1"
    context: int | None = 100_000
    control_tokens = frozenset[str]()

    def __init__(self, bad: str = "Paris", sure: float = 0.9) -> None:
        self.bad, self.sure, self.seen = bad, sure, list[Request]()

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if request is None:
                continue
            self.seen.append(request)
            response = request.messages[0].content.split("Response:\n")[1]
            if not request.choose:
                yield Completion(request.index, critique=f"about {response.split()[1]}")
                continue
            if "fail here" in response:
                yield Completion(request.index, error=EngineError("it broke"))
                continue
            no = self.sure if self.bad in response else 0.2 + len(response) / 1000
            found = {"Yes": 1 - no, "No": no}
            yield Completion(request.index, label=best(found), probabilities=found)

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return 1

    def close(self) -> None: ...


def judge(engine: Reader | None = None, **settings) -> Judge:
    preset = load_preset("openai:toy@http://localhost")
    chosen: Any = {"claims": True, "mode": "verdict", **settings}
    return Judge(preset, engine=engine or Reader(), template="prefix", **chosen)


def test_one_claim_without_support_fails_the_row_and_is_pointed_at() -> None:
    response = "Ada was born in 1815. She lived in Paris. She was born in London."
    verdict = judge()(response=response, context=CONTEXT, criterion=ASKED)
    assert (verdict.label, verdict.probabilities) == ("No", {"Yes": pytest.approx(0.1), "No": 0.9})
    assert [response[slice(*p.span)] for p in verdict.parts if p.span] == [
        "Ada was born in 1815.",
        "She lived in Paris.",
        "She was born in London.",
    ]
    assert [p.label for p in verdict.parts] == ["Yes", "No", "Yes"]
    assert [response[slice(*p.span)] for p in failing_claims(verdict, ASKED) if p.span] == ["She lived in Paris."]  # fmt: skip
    again = Verdict.model_validate_json(verdict.to_json())
    assert again.parts[1].span == (22, 41) and "span" not in json.loads(verdict.to_json())


def test_all_supported_is_yes_with_the_probability_of_the_least_sure() -> None:
    verdict = judge()(response="Ada was born in 1815. In London.", context=CONTEXT, criterion=ASKED)
    assert verdict.label == "Yes" and len(verdict.parts) == 2
    assert verdict.confidence == min(p.probabilities["Yes"] for p in verdict.parts if p.probabilities)  # fmt: skip


def test_the_context_comes_first_so_that_claims_share_it() -> None:
    engine = Reader()
    judge(engine)(response="One is here. Two is here. Three is here.", context=CONTEXT, criterion=ASKED)  # fmt: skip
    starts = {r.messages[0].content.partition("Response:")[0] for r in engine.seen}
    assert len(engine.seen) == 3 and len(starts) == 1 and CONTEXT in starts.pop()


@pytest.mark.parametrize("response", ["", " \n", "?!", "Do you want to know more?"])
def test_what_claims_nothing_is_judged_as_a_whole(response: str) -> None:
    engine = Reader()
    verdict = judge(engine)(response=response, context=CONTEXT, criterion=ASKED)
    assert verdict.label == "Yes" and verdict.parts == [] and len(engine.seen) == 1
    assert verdict.key == judge(claims=False)(response=response, context=CONTEXT, criterion=ASKED).key  # fmt: skip


def test_a_very_long_response_is_judged_in_groups_that_miss_nothing() -> None:
    response = " ".join(f"Sentence {n} is here." for n in range(5 * MOST + 3))
    claims = claims_of(response)
    assert len(claims) <= MOST
    covered = "".join(response[c.start : c.end] for c in claims)
    assert covered.replace(" ", "") == response.replace(" ", "")
    verdict = judge()(response=response + " He lived in Paris.", context=CONTEXT, criterion=ASKED)
    [bad] = failing_claims(verdict, ASKED)
    assert bad.span is not None and bad.span[1] == len(response) + len(" He lived in Paris.")


def test_a_claim_under_a_lead_in_is_judged_with_it() -> None:
    engine = Reader()
    judge(engine)(response="She lived in:\n- London\n- Paris", context=CONTEXT, criterion=ASKED)
    asked = [r.messages[0].content.partition("Response:")[2] for r in engine.seen]
    assert asked == [f"\n```\nShe lived in:\n{city}\n```" for city in ("London", "Paris")]


def test_an_error_in_one_claim_is_one_of_the_row() -> None:
    [verdict] = judge().judge(
        [{"response": "All is fine here. But fail here.", "context": CONTEXT}], ASKED
    )
    assert verdict.label is None
    assert verdict.error == "1 of 2 claims failed; the first: it broke"


def test_the_key_is_another_one_than_of_the_whole() -> None:
    row = {"response": "Ada was born in 1815.", "context": CONTEXT}
    whole, claims = judge(claims=False)(row, criterion=ASKED), judge()(row, criterion=ASKED)
    assert whole.key != claims.key and claims.parts[0].span == (0, 21) and whole.parts == []
    other = ASKED.model_copy(update={"failing": ("Yes",)})
    assert judge()(row, criterion=other).key != claims.key


def test_a_calibration_is_one_of_claims() -> None:
    """It was learned on single answers, and so applies to each claim; the row follows from them."""
    row = {"response": "Ada was born in 1815. She lived in Paris.", "context": CONTEXT}
    plain = judge(Reader(sure=0.6))
    verdict = plain(row, criterion=ASKED)
    assert verdict.label == "No" and plain.calibrated(verdict, ASKED) is verdict
    kind = Calibration(
        criterion=None, labels=ASKED.scale.labels, mode="verdict", method="bias", bias={"Yes": 2.0, "No": 0.0}
    )  # fmt: skip
    kinder = plain.using(calibrations=(kind,))
    for new in (kinder(row, criterion=ASKED), kinder.calibrated(verdict, ASKED)):
        assert new.label == "Yes"
        assert new.uncalibrated == verdict.probabilities
        assert [p.span for p in new.parts] == [(0, 21), (22, 41)]
        assert all(p.uncalibrated for p in new.parts)
        assert new.probabilities == new.parts[1].probabilities
    assert kinder.calibrated(new, ASKED) is new
    back = plain.calibrated(new, ASKED)
    assert (back.label, back.probabilities, back.uncalibrated) == ("No", verdict.probabilities, None)  # fmt: skip


def test_several_draws_of_each_claim() -> None:
    verdict = judge(mode="critique", samples=2)(response="It is here. Paris is too.", context=CONTEXT, criterion=ASKED)  # fmt: skip
    assert [len(p.parts) for p in verdict.parts] == [2, 2] and verdict.label == "No"


def test_the_reason_is_about_the_claim_that_decides() -> None:
    engine = Reader()
    one = judge(engine)
    sample = Sample(response="Ada was born in 1815. She lived in Paris.", context=CONTEXT)
    verdict = next(one.judge([sample], ASKED))
    engine.seen.clear()
    # This judge writes reasons, whatever its preset says of others.
    explained = one.explain(sample, verdict, ASKED)
    assert explained.critique and explained.parts == verdict.parts
    asked = engine.seen[0].messages[0].content
    assert "She lived in Paris." in asked and "Ada was born in 1815. She" not in asked


def test_ordinal_scales_and_other_failing_labels() -> None:
    score = Criterion(question="How good?", scale=Scale.likert(1, 3))
    parts = [
        Verdict(label="3", probabilities={"1": 0.2, "2": 0.2, "3": 0.6}),
        Verdict(label="1", probabilities={"1": 0.5, "2": 0.3, "3": 0.2}),
        Verdict(label="1", probabilities={"1": 0.6, "2": 0.2, "3": 0.2}),
    ]
    assert weakest(parts, score) == 2
    toxic = load_criterion("toxicity")
    said = [Verdict(label="No", probabilities={"Yes": 0.1, "No": 0.9}), Verdict(label="Yes")]
    assert joined(said, toxic).label == "Yes"
    # A threshold can make a claim fail that has less on its failing label than one that passes.
    strict = [Verdict(label="Yes", probabilities={"Yes": 0.4, "No": 0.6}), Verdict(label="No", probabilities={"Yes": 0.5, "No": 0.5})]  # fmt: skip
    assert joined(strict, ASKED).label == "No"


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ("preference", "preference does not judge one response"),
        ("context-recall", "context-recall does not judge one response"),
        ("refusal", "refusal does not say which of its labels are bad"),
    ],
)
def test_what_cannot_be_judged_by_claims(criterion: str, message: str) -> None:
    sample = Sample(instruction="q", response="a", context="c", reference="r", response_a="a", response_b="b")  # fmt: skip
    with pytest.raises(UsageError, match=message):
        judge()(sample, criterion=criterion)


def test_abstaining_and_reconsidering_are_refused() -> None:
    with pytest.raises(UsageError, match="claims and abstain"):
        judge(abstain=True)
    one = judge()
    sample = Sample(response="Ada was born.", context=CONTEXT)
    with pytest.raises(UsageError, match="works on whole responses, not on claims"):
        one.explain(sample, next(one.judge([sample], ASKED)), ASKED, reconsider=True)


def test_a_jury_by_claims() -> None:
    jurors = [judge(Reader(sure=s)).using() for s in (0.9, 0.3)]
    other = jurors[1].preset.model_copy(update={"name": "other"})
    jurors[1] = Judge(other, engine=jurors[1].engine, template="prefix")
    found = list(Jury(jurors).stream([(0, Sample(response="It is Paris. Or not.", context=CONTEXT), ASKED)]))  # fmt: skip
    [(_, verdict)] = found
    assert [len(p.parts) for p in verdict.parts] == [2, 2]
    assert verdict.probabilities == {"Yes": pytest.approx(0.4), "No": pytest.approx(0.6)}


def test_a_run_that_was_stopped_goes_on_and_the_ledger_has_the_spans(tmp_path) -> None:
    out = tmp_path / "v.jsonl"
    samples = [Sample(id=str(n), response=f"Ada is number {n}. She lived in Paris.", context=CONTEXT) for n in range(3)]  # fmt: skip
    rows = [Row(n, f"line {n}", s, id=s.id) for n, s in enumerate(samples)]
    run(judge(), ASKED, rows[:2], out)
    engine = Reader()
    summary = run(judge(engine), ASKED, rows, out)
    assert (summary.reused, len(engine.seen)) == (2, 2)
    verdicts = list(read_verdicts(out))
    assert [[p.span for p in v.parts] for v in verdicts] == [[(0, 16), (17, 36)]] * 3


def test_the_command_line_shows_the_claims(tmp_path, here, monkeypatch) -> None:
    from mene.cli import judge as command

    monkeypatch.setattr(
        command, "open_judge", lambda specs, settings: judge(claims=settings.get("claims"))
    )
    table = tmp_path / "t.jsonl"
    row = {"id": "a", "response": "Ada was born in 1815. She lived in Paris.", "context": CONTEXT}
    table.write_text(json.dumps(row) + "\n")
    done = here("judge", table, "-c", "faithfulness", "--claims", "--explain", "none", "-j", "nano")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 claims fail:" in done.stdout
    assert "✗ p=0.90  She lived in Paris." in done.stdout
    refused = here("judge", table, "-c", "preference", "--claims", "-j", "nano")
    assert refused.returncode == 2 and "does not judge one response" in refused.stderr
