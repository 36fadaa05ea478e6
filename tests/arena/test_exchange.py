"""Out as JSON lines and in again: nothing is lost, doubled, or told that should not be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.arena.board import Boards
from mene.arena.exchange import Imported, add, export, from_values, load, read, to_line
from mene.arena.moderation import moderate
from mene.arena.published import Unreadable, read_published
from mene.arena.store import Store
from mene.arena.style import Style
from mene.arena.words import CHOICES, Battle, Moderation, Seat, Vote, new_id
from mene.criterion import Criterion, load_criterion
from mene.events import Warn
from mene.sample import Sample
from mene.scale import Scale
from mene.verdict import Usage, Verdict
from tests.arena.conftest import FREE
from tests.arena.made import POLITE, battle, judged, vote

TEXT = st.text(max_size=20)
NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
VERDICTS = st.builds(
    Verdict,
    label=st.just("Yes"),
    critique=st.none() | TEXT,
    probabilities=st.none() | st.just({"Yes": 0.25, "No": 0.75}),
    usage=st.builds(Usage, prompt_tokens=st.integers(0, 2**40)),
    latency_s=st.floats(0, 1e6),
    notes=st.lists(TEXT, max_size=2),
)
SEATS = st.builds(Seat, judge=NAME.map("a{}".format), preset=TEXT, verdict=VERDICTS)
BATTLES = st.builds(
    Battle,
    id=st.uuids().map(lambda one: one.hex),
    sample=st.builds(
        Sample, instruction=TEXT, response=TEXT, context=st.none() | TEXT, label=st.none() | TEXT
    ),
    criterion=st.sampled_from([POLITE, Criterion(question="How well?", scale="1-5")]),  # type: ignore[arg-type]
    a=SEATS,
    b=st.builds(Seat, judge=NAME.map("b{}".format), verdict=VERDICTS),
    seed=st.integers(0, 2**63 - 1),
    source=TEXT,
    started=TIMES,
    ended=TIMES,
    voter=st.sampled_from(["", "v1", "v2"]),
)


@st.composite
def pairs(draw) -> tuple[Battle, Vote | None]:
    one = draw(BATTLES)
    if not draw(st.booleans()):
        return one, None
    return one, Vote(
        battle=one.id,
        choice=draw(st.sampled_from(CHOICES)),
        reason=draw(TEXT),
        label=draw(st.none() | TEXT),
        voter=draw(st.sampled_from(["", "v1"])),
        at=draw(TIMES),
        consent=draw(st.booleans()),
    )


@settings(max_examples=40)
@given(pairs())
def test_a_line_holds_all_of_a_battle(pair) -> None:
    line = to_line(*pair)
    assert "\n" not in line and from_values(json.loads(line)) == pair


@settings(max_examples=6)
@given(st.lists(pairs(), max_size=4, unique_by=lambda pair: pair[0].id))
def test_an_arena_goes_out_and_in_again(tmp_path_factory, made) -> None:
    folder = tmp_path_factory.mktemp("round")
    with Store(folder / "one.db", FREE) as one, Store(folder / "two.db", FREE) as two:
        add(one, made)
        (folder / "all.jsonl").write_text("".join(line + "\n" for line in export(one)), "utf-8")
        if not made:
            return
        votes = sum(voted is not None for _, voted in made)
        assert load(two, read(str(folder / "all.jsonl"))) == Imported(new=len(made))
        assert load(two, read(str(folder / "all.jsonl"))) == Imported(here=len(made))
        assert list(export(two)) == list(export(one)) and len(list(two.votes())) == votes
        assert list(two.battles()) == [fought for fought, _ in made]


@pytest.mark.parametrize("fields", [{"ended": None}, {"error": "the judge failed"}])
def test_a_vote_on_a_battle_that_nobody_could_vote_on_is_refused(fields) -> None:
    one = judged(**fields)
    with pytest.raises(Unreadable, match="did not end with two verdicts"):
        from_values(json.loads(to_line(one, vote(one))))


def test_a_damaged_line_is_named_and_the_others_go_on(lite: Store, tmp_path: Path) -> None:
    good, other = judged(), judged()
    cut = json.loads(to_line(good, vote(good)))
    lines = [
        to_line(good, vote(good)),
        to_line(other, vote(other))[:-20],
        json.dumps({**cut, "battle": {**cut["battle"], "id": "x"}}),
        json.dumps({**cut, "vote": {**cut["vote"], "choice": "c"}}),
        json.dumps({**cut, "vote": {**cut["vote"], "battle": new_id()}}),
        json.dumps({"a": 1}),
        to_line(battle(), vote(good)),
        to_line(good, vote(good, "b")),
        to_line(other, None),
    ]
    file = tmp_path / "votes.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    said: list[str] = []
    done = load(
        lite,
        read(str(file)),
        lambda event: said.append(event.text) if isinstance(event, Warn) else None,
    )
    assert done == Imported(new=2, damaged=6, conflicts=1) and len(said) == 7
    for number, why in (
        (2, "JSON"),
        (3, '"id"'),
        (4, '"choice"'),
        (5, '"vote.battle"'),
        (6, '"model_a"'),
        (7, '"vote'),
    ):
        assert any(f"line {number}: " in one and why in one for one in said), (number, said)


def test_what_is_published_has_consent_and_names_nobody(lite: Store) -> None:
    yes, no, out, spam = (
        judged(voter="mine"),
        judged(voter="mine"),
        judged(voter="mine"),
        judged(voter="spammer"),
    )
    add(lite, [
        (yes, vote(yes, consent=True)), (no, vote(no)), (out, vote(out, consent=True)), (spam, vote(spam, consent=True)),
    ])  # fmt: skip
    moderate(
        lite, Moderation(target=out.id, kind="battle", what="leave_out", why="private", by="me")
    )
    moderate(
        lite, Moderation(target="spammer", kind="voter", what="leave_out", why="spam", by="me")
    )
    (line,) = export(lite, published=True)
    again, voted = from_values(json.loads(line))
    assert (
        again.id == yes.id
        and voted is not None
        and voted.voter == again.voter
        and "mine" not in line
    )
    assert again.voter not in next(
        iter(export(lite, published=True))
    )  # another number in each file
    assert len(list(export(lite))) == 4


def test_without_samples_nothing_typed_is_left_and_the_ratings_stay(
    lite: Store, tmp_path: Path
) -> None:
    scale = Scale.classes("secret yes", "secret no")
    typed = Criterion(name="secret name", question="SECRET?", scale=scale)
    long = "**SECRET** perhaps " * 20
    made = []
    for number in range(30):
        label = "Yes" if number % 3 else "secret yes"
        one = judged(
            b="base" if number % 2 else "nano",
            sample=Sample(instruction=f"SECRET {number // 3}", response="SECRET", id="SECRET", label="SECRET"),
            criterion=load_criterion("faithfulness") if number % 3 else typed,
            source="own",
            a=Seat(judge="nano" if number % 2 else "base", verdict=Verdict(label=label, critique=long, notes=["SECRET"], probabilities={label: 1.0},
                   first=Verdict(label="No", critique="SECRET"), question="SECRET", columns={"SECRET": "SECRET"})),
            voter=f"v{number % 5}",
        )  # fmt: skip
        made.append((one, vote(one, "ab"[number % 5 == 0], reason="SECRET", label=label)))
    add(lite, made)
    lite.open(failed := battle(voter="v1"))
    lite.fail(failed.id, "SECRET")
    lines = list(export(lite, samples=False))
    assert "SECRET" not in "".join(lines).upper() and "faithfulness" in "".join(lines)
    file = tmp_path / "share.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    with Store(tmp_path / "two.db", FREE) as two:
        assert load(two, read(str(file))).new == 31
        one, other = Boards(lite).board(), Boards(two).board()
        assert other.rows == one.rows and other.left_out == one.left_out
        first = next(two.battles())
        assert first.a.style == made[0][0].a.style != Style()
        assert first.a.verdict is not None and first.a.verdict.probabilities == {"label 1": 1.0}
        assert first.criterion.scale.labels == ("label 1", "label 2")


TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Why?"}]},
         {"role": "assistant", "content": [{"type": "text", "text": "So."}]}]  # fmt: skip
META = {
    "sum_assistant_a_tokens": 7,
    "sum_assistant_b_tokens": 9,
    "header_count_a": {"h1": 1, "h2": 2},
    "bold_count_a": {"**": 3},
}


@pytest.mark.parametrize(
    ("row", "choice", "text"),
    [
        ({"winner": "model_a", "conversation_a": TURNS, "conversation_b": TURNS, "tstamp": 1700000000.5, "judge": "x"}, "a", "So."),
        ({"winner": "both_bad", "conversation_a": PARTS, "conversation_b": PARTS, "timestamp": "2025-08-02 10:00:00"}, "both_bad", "So."),
        ({"winner": "tie (bothbad)", "conversation_a": json.dumps(TURNS)}, "both_bad", "So."),
        ({"winner": "tie", "prompt": "Why?", "response_a": "So.", "conversation_b": "[" * 100_000}, "tie", "So."),
        ({"winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0, "prompt": "Why?", "response_a": "So.", "response_b": "No."}, "b", "So."),
        ({"winner": "tie", "prompt": "Why?", "response_1": "So.", "response_2": "No."}, "tie", "So."),
        ({"winner": "A", "prompt": "Why?", "response_a": "Score: 4\n\nSo.", "response_b": "2", "judge_id": "0a",
          "timestamp": "2024-11-20T10:00:00+00:00"}, "a", "Score: 4\n\nSo."),
        ({"winner": "Tie", "prompt": "Why?", "response_a": "So.", "response_b": "2", "judge_id": "0a"}, "tie", "So."),
    ],
)  # fmt: skip
def test_published_forms_are_read(row, choice: str, text: str) -> None:
    row = {"model_a": "gpt-4", "model_b": "llama-13b", **row}
    fought, voted = read_published(row)
    assert voted.choice == choice and fought.a.judge == "gpt-4" and fought.a.verdict is not None
    assert fought.a.verdict.critique == text and fought.is_finished and not voted.consent
    assert fought.a.verdict.label == ("4" if "Score" in text else None)
    assert read_published(row)[0].id == fought.id != read_published({**row, "turn": 2})[0].id
    assert fought.sample.instruction == (
        "Why?" if "conversation" in str(row) or "prompt" in row else None
    )


def test_where_there_is_no_text_the_counts_of_lmarena_are_the_style() -> None:
    fought, _ = read_published(
        {"model_a": "x", "model_b": "y", "winner": "model_b", "conv_metadata": META}
    )
    assert fought.a.style == Style(characters=7, headers=3, bold=3)
    assert fought.b.style == Style(characters=9)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"model_a": "x", "model_b": "y"}, '"winner"'),
        ({"model_a": "x", "model_b": "y", "winner": "z"}, '"winner"'),
        ({"model_a": "x", "model_b": "x", "winner": "tie"}, "both seats"),
        ({"model_a": "x", "model_b": 3, "winner": "tie"}, '"model_b"'),
        ({"model_a": "x", "model_b": "y", "winner": "tie", "timestamp": "soon"}, '"timestamp"'),
        # A time that no zone west of it can hold ended every later export.
        (
            {
                "model_a": "x",
                "model_b": "y",
                "winner": "tie",
                "timestamp": "0001-01-01T00:00+14:00",
            },
            "1970",
        ),
        ({"model_a": "x", "model_b": "y", "winner": "tie", "timestamp": "9999-12-31"}, "1970"),
        (
            {
                "model_a": "x",
                "model_b": "y",
                "winner_model_a": 1,
                "winner_model_b": 1,
                "winner_tie": 0,
            },
            "exactly one",
        ),
    ],
)
def test_other_rows_are_refused_by_their_field(row, field: str) -> None:
    with pytest.raises(Unreadable, match=field):
        read_published(row)
