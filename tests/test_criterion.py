"""Criteria: the built-in ones, one's own, and errors that say what to change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.criterion import (
    Criterion,
    criterion_names,
    load_criterion,
    parse_criterion,
)
from mene.criterion_behind import behind, told
from mene.criterion_name import named
from mene.errors import SampleError, UsageError
from mene.judge.preset import load_preset
from mene.runs.parse import parse_verdict
from mene.sample import FIELDS, Sample
from mene.scale import Scale
from mene.template import load_template
from mene.verdict import Verdict

OWN = """\
name: polite
question: Is the reply polite?
scale: yes/no
labels:
  Yes: It is polite.
  No: It is rude.
needs: [response]
uses: [instruction]
"""

EXPECTED = {
    "answer-relevance", "citation-support", "code-correctness", "coherence", "completeness", "conciseness",
    "context-precision", "context-recall", "context-relevance", "correctness", "faithfulness",
    "goal-completion", "harmlessness", "helpfulness", "instruction-following", "logical-consistency",
    "noise-robustness", "preference", "refusal", "summary-quality", "tone", "tool-call-correctness",
    "toxicity", "trajectory",
}  # fmt: skip


def test_the_library_is_whole() -> None:
    assert set(criterion_names()) >= EXPECTED
    assert criterion_names() == sorted(criterion_names())


@pytest.mark.parametrize("name", criterion_names())
def test_built_in(name: str) -> None:
    criterion = load_criterion(name)
    assert criterion.name == name
    assert list(criterion.labels) == list(criterion.scale.labels)
    assert len(set(criterion.labels.values())) == len(criterion.labels)
    assert criterion.needs and not set(criterion.needs) & set(criterion.uses)
    # every token is read for each judgement
    assert len(criterion.question.split()) <= 60
    assert all(0 < len(text.split()) <= 25 for text in criterion.labels.values())
    assert parse_criterion(criterion.to_yaml(), "copy") == criterion


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("faithfulness", {"response", "context"}),
        ("correctness", {"response", "reference"}),
        ("context-relevance", {"instruction", "context"}),
        ("summary-quality", {"response", "context"}),
        ("helpfulness", {"instruction", "response"}),
        ("tool-call-correctness", {"instruction", "response"}),
        ("goal-completion", {"instruction", "response"}),
        ("trajectory", {"instruction", "response"}),
        ("context-precision", {"instruction", "context"}),
        ("context-recall", {"context", "reference"}),
        ("noise-robustness", {"instruction", "context", "response"}),
        ("citation-support", {"context", "response"}),
        ("preference", {"instruction", "response_a", "response_b"}),
    ],
)
def test_needs(name: str, needs: set[str]) -> None:
    assert set(load_criterion(name).needs) == needs


def test_text_stays_text_in_yaml() -> None:
    text = "question: q\nscale: {kind: nominal, labels: [%s]}\n"
    for labels in (
        ("on", "off"), ("NO", "SE", "DK"), ("y", "n"), ("true", "false"), ("12:30", "1:30"), ("null", "~"),
        ("2024-01-31", "2024-02-30"), ("007", "7.0"), ("1_000", "0x1f"),
    ):  # fmt: skip
        found = parse_criterion(text % ", ".join(labels), "own")
        assert found.scale.labels == labels
        assert parse_criterion(found.to_yaml(), "copy") == found
    switch = (
        "question: q\nscale: on/off\nlabels: {on: It shines., off: It is dark.}\nfailing: [off]\n"
    )
    assert parse_criterion(switch, "own").labels == {"on": "It shines.", "off": "It is dark."}
    assert parse_criterion(switch, "own").failing == ("off",)
    assert parse_criterion(text % "yes, no", "own").scale == Scale.binary()


def test_an_empty_response_is_an_answer() -> None:
    load_criterion("tone").check(Sample(response=""))
    load_criterion("preference").check(Sample(instruction="q", response_a=" ", response_b="b"))
    with pytest.raises(SampleError, match='"response" is missing'):
        load_criterion("tone").check(Sample())


def test_a_sample_that_was_made_in_python_is_checked_too() -> None:
    with pytest.raises(SampleError, match='field "response" has a lone surrogate'):
        load_criterion("tone").check(Sample(response="a\ud83d"))
    load_criterion("tone").check(Sample(response="a", context="\ud83d"))  # which it does not show


@pytest.mark.parametrize(
    "words",
    [
        "Polite?",
        "回答有礼貌吗?",
        "回答有礼貌吗？",
        "回答是否有礼貌",
        "สุภาพไหม",
        "Freundlich？",
        "مهذب؟",
    ],
)
def test_questions_without_spaces(words: str) -> None:
    assert load_criterion(words).question == words


def test_yaml_booleans_and_numbers_as_labels() -> None:
    assert parse_criterion(OWN, "own").labels == {"Yes": "It is polite.", "No": "It is rude."}
    number = "question: q\nscale: 1-2\nlabels: {2: high, 1: low}\n"
    assert parse_criterion(number, "own").labels == {"1": "low", "2": "high"}
    assert list(parse_criterion(number, "own").labels) == ["1", "2"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "question:",
            "questoin:",
            'own.yaml, line 2: unknown key "questoin"; did you mean "question"?',
        ),
        ("labels:", "lables:", 'own.yaml, line 4: unknown key "lables"; did you mean "labels"?'),
        ("uses: [i", "1: [i", 'own.yaml, line 8: unknown key "1"'),
        ("No: It", "Noo: It", 'label "Noo" is not on the scale Yes/No; did you mean "No"?'),
        (
            "  No: It is rude.\n",
            "",
            "labels without a description: No; describe them too (`No: …`), or leave all",
        ),
        ("No: It", "'YES': It", 'label "Yes" is described twice'),
        ("[response]", "[respnse]", 'no sample field "respnse"; did you mean "response"?'),
        (
            "[response]",
            "[label]",
            'no sample field "label"; the fields are instruction, response, ',
        ),
        ("yes/no", "good", "scale: cannot read scale 'good'"),
        ("yes/no", "yes", "scale: cannot read scale 'yes'; write it like"),
        ("yes/no", "[good, bad]", "scale: cannot read scale ['good', 'bad']; write it like"),
        ("yes/no", "5-1", "scale: cannot read scale '5-1': the lowest score comes first"),
        ("yes/no", "yes//no", "scale: cannot read scale 'yes//no': a label is empty"),
        ("It is rude.", "{a: b}", "own.yaml, line 6: labels.No: "),
        ("Is the reply polite?", "''", "own.yaml, line 2: question: "),
        ("question: Is the reply polite?\n", "", "own.yaml: question: "),
        ("name: polite", "name: [", "own.yaml, line 2: not valid YAML"),
        ("uses: [", "needs: [", 'line 8: not valid YAML: the key "needs" is given twice'),
    ],
)
def test_mistakes_are_named(old: str, new: str, message: str) -> None:
    assert OWN.count(old) == 1
    with pytest.raises(UsageError) as caught:
        parse_criterion(OWN.replace(old, new), "own.yaml")
    assert message in str(caught.value)
    assert "validation error" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "just words", "- a list", "\x00"])
def test_what_is_no_criterion_at_all(text: str) -> None:
    with pytest.raises(UsageError, match="own.yaml"):
        parse_criterion(text, "own.yaml")


def test_defaults() -> None:
    single = Criterion(question="q", scale=Scale.binary())
    assert single.needs == ("response",)
    assert single.shown == ("instruction", "response", "context", "reference")
    pair = Criterion(question="q", scale=Scale.pairwise())
    assert pair.needs == ("response_a", "response_b")


# without control characters and the rare line breaks, which YAML itself does not keep
letters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.just("\n")
plain = st.text(letters, min_size=1, max_size=30)
label = st.text(letters, min_size=1, max_size=8).filter(lambda t: t == t.strip() and "\n" not in t)


@st.composite
def criteria(draw: st.DrawFn) -> Criterion:
    if draw(st.booleans()):
        labels = draw(st.lists(label, min_size=2, max_size=4, unique_by=str.casefold))
        scale = Scale.classes(*labels)
    else:
        scale = draw(st.sampled_from([Scale.likert(), Scale.pairwise(), Scale.binary()]))
    needs = draw(st.lists(st.sampled_from(FIELDS), unique=True))
    described = draw(st.booleans())
    return Criterion(
        name=draw(plain),
        question=draw(plain),
        scale=scale,
        labels={name: draw(plain) for name in scale.labels} if described else {},
        needs=tuple(needs),
        uses=tuple(f for f in FIELDS if f not in needs),
    )


@given(criteria())
def test_to_yaml_reads_back_as_the_same(criterion: Criterion) -> None:
    assert parse_criterion(criterion.to_yaml(), "copy") == criterion


@pytest.mark.parametrize(
    "labels", [("a/b", "c"), ("1", "2"), ("A", "B"), ("no", "yes"), ("1-5", "x,y")]
)
def test_to_yaml_keeps_scales_whose_short_form_means_another(labels: tuple[str, ...]) -> None:
    criterion = Criterion(question="q", scale=Scale.classes(*labels))
    assert parse_criterion(criterion.to_yaml(), "copy").scale == criterion.scale


def test_check_names_what_is_missing() -> None:
    criterion = load_criterion("faithfulness")
    criterion.check(Sample(response="r", context="c"))
    with pytest.raises(SampleError) as caught:
        criterion.check(Sample(context=" ", instruction="q"))
    message = str(caught.value)
    assert '"context" and "response"' in message
    assert "faithfulness" in message and "--map" in message


def test_load_by_file_name_and_words(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN, "utf-8")
    assert load_criterion(str(path)).name == "polite"
    words = load_criterion(" Is it kind? ")
    assert (words.name, words.question, words.scale) == (
        "is-it-kind",
        "Is it kind?",
        Scale.binary(),
    )
    assert load_criterion("Is it kind?", "1-3").scale == Scale.likert(1, 3)


def test_names_may_have_capitals() -> None:
    assert load_criterion("Faithfulness") == load_criterion("faithfulness")
    assert load_preset("Nano") == load_preset("nano")


def test_the_criterion_of_the_docs_can_be_used() -> None:
    """It described two labels of four, which is refused."""
    text = (EXAMPLES.parent / "docs" / "criteria.md").read_text("utf-8")
    own = text.split("# examples/criterion.yaml\n")[1].split("```")[0]
    there = load_criterion(str(EXAMPLES / "criterion.yaml"))
    shown = parse_criterion(own, "criteria.md")
    assert (shown.name, shown.labels, shown.needs) == (there.name, there.labels, there.needs)


def test_another_scale_drops_the_descriptions() -> None:
    changed = load_criterion("tone", "1-3")
    assert (changed.scale, changed.labels) == (Scale.likert(1, 3), {})
    assert changed.question == load_criterion("tone").question
    assert load_criterion("tone", "1-5") == load_criterion("tone")
    assert load_criterion("preference", "a/b/tie").scale == Scale.pairwise(ties=True)


@pytest.mark.parametrize(
    ("spec", "scale", "message"),
    [
        ("faithfulnes", None, 'no criterion "faithfulnes"; did you mean "faithfulness"?'),
        ("", None, 'no criterion ""'),
        ("no/such.yaml", None, "cannot read the criterion: No such file"),
        ("tone", "good", "cannot read scale 'good'"),
        ("tone", "x/X", "differ only by case"),
        ("tone", "a/b", "cannot be judged on the scale a/b"),
        ("preference", "1-5", "cannot be judged on the scale 1-5"),
    ],
)
def test_what_cannot_be_loaded(spec: str, scale: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_criterion(spec, scale)
    assert message in str(caught.value) and "validation error" not in str(caught.value)


@pytest.mark.parametrize("text", ["5-1", "3-3", "0 to -5"])
def test_a_scale_that_falls_is_said_in_the_users_words(text: str) -> None:
    with pytest.raises(UsageError, match="the lowest score comes first") as caught:
        load_criterion("tone", text)
    assert "likert" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_criterion(str(path))


EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("file", "criterion"),
    [
        ("rag.jsonl", "faithfulness"),
        ("pairs.jsonl", "preference"),
        ("agents.jsonl", "goal-completion"),
        ("citations.jsonl", "citation-support"),
    ],
)
def test_examples_can_be_judged_and_are_balanced(file: str, criterion: str) -> None:
    rows = [json.loads(line) for line in (EXAMPLES / file).read_text("utf-8").splitlines()]
    chosen = load_criterion(criterion)
    samples = [Sample.from_row(row) for row in rows]
    for sample in samples:
        chosen.check(sample)
    labels = [chosen.scale.match(sample.label) for sample in samples]
    assert {labels.count(label) for label in chosen.scale.labels} == {len(rows) // 2}
    assert len({sample.id for sample in samples}) == len(rows)
    assert all(row["source"] for row in rows)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("tool-call-correctness", ["[calls cancel_order(", "Tool (cancel_order): "]),
        ("goal-completion", ['"status": "cancelled"', "Your order 5512 is cancelled."]),
        ("trajectory", ["[calls get_order(", "Cancel my order 5512"]),
        ("context-precision", ["[3] The Santa Justa lift", "When does tram 28"]),
        ("context-recall", ["Reference answer:", "costs 3.20 euros", "[2] A single ticket"]),
        ("noise-robustness", ["[3] The Santa Justa lift", "a ticket costs 3.20 euros [2]"]),
        ("citation-support", ["runs from 5:40 to 21:00 [1]", "[1] The Lisbon tram"]),
    ],
)
def test_criteria_for_agents_and_retrieval_are_rendered(name: str, seen: list[str]) -> None:
    criterion = load_criterion(name)
    agents = not name.startswith(("context", "noise", "citation"))
    file = "agents.jsonl" if agents else "citations.jsonl"
    row = json.loads((EXAMPLES / file).read_text("utf-8").splitlines()[0])
    sample = Sample.from_row(row, fields=criterion.shown)
    criterion.check(sample)
    [message] = load_template("prefix").render(criterion, sample, critique=False)
    assert criterion.question in message.content
    assert all(text in message.content for text in (*seen, *criterion.labels.values()))


def test_the_example_criterion_loads() -> None:
    criterion = load_criterion(str(EXAMPLES / "criterion.yaml"))
    assert list(criterion.labels) == list(criterion.scale.labels)


def test_a_question_has_a_short_name_of_its_own() -> None:
    assert named("Is the reply polite?") == "is-the-reply-polite"
    alike = [
        "Is the reply polite?", "Is the reply polite", "is the reply polite?", "Is the reply polite!",
        "Is the Reply polite?", "Is the reply, polite?", "Is the reply polite? ", "Is the reply polite??",
    ]  # fmt: skip
    names = [named(question) for question in alike]
    assert len(set(names)) == len(names)
    assert all(name.startswith("is-the-reply-polite") for name in names)
    assert named("回答有礼貌吗？").startswith("回答有礼貌吗-")
    assert named("क्या उत्तर विनम्र है?") == "क्या-उत्तर-विनम्र-है"
    # Of a built-in one it must not take the name.
    assert named("Answer relevance?") != "answer-relevance"
    assert Criterion(question="Tone?", scale=Scale.binary()).own_question == "Tone?"
    assert load_criterion("tone").own_question == ""


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_no_two_questions_have_one_name(one, other) -> None:
    names = {named(one), named(other)}
    assert all(1 <= len(name) <= 47 and not set(name) & set(" /\\?:\n\t") for name in names)
    assert len(names) == len({one, other})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("answer relevance", 'did you mean "answer-relevance"?'),
        ("Code Correctness", 'did you mean "code-correctness"?'),
        ("tone, toxicity", "name several one by one: -c tone -c toxicity"),
        ("tone,toxicity", "name several one by one: -c tone -c toxicity"),
        ("faithfullness", 'did you mean "faithfulness"?'),
    ],
)
def test_a_name_written_otherwise_is_no_question(spec, said) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        load_criterion(spec)


def test_a_built_in_criterion_as_it_stands_needs_no_telling() -> None:
    as_it_is, other = load_criterion("toxicity"), load_criterion("toxicity", "bad/good")
    assert as_it_is.facts == {"question": "", "scale": "", "failing": []}
    assert other.facts["scale"] == "bad/good" and not other.facts["question"]


@given(criteria())
def test_a_verdict_tells_its_criterion(criterion: Criterion) -> None:
    line = Verdict(criterion=criterion.name, label=criterion.scale.labels[0], **criterion.facts)
    found = told(parse_verdict(line.to_json().encode()))
    assert found is not None
    assert (found.scale, found.failing, found.name) == (
        criterion.scale, criterion.failing, criterion.name,
    )  # fmt: skip
    assert behind(found, found.name, line.question, criterion.scale.labels) is found
    assert behind(found, found.name, line.question, ["another"]) is None
