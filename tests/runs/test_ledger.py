"""The ledger: nothing judged twice, nothing lost, nothing counted that was not asked for."""

from __future__ import annotations

import json
import os
import random
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.errors import LedgerError
from mene.runs import lines
from mene.runs.known import Known
from mene.runs.ledger import Ledger, ascending
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.verdict import Verdict


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def quiet(text: str) -> None:
    pass


def open_lines(path: Path) -> lines.Lines[bytes]:
    return lines.Lines(path, "verdict", "{", lambda line: line, lambda offset, line: None, quiet)


def names(position: int, sample_id: str, content: str = "") -> dict:
    return {
        "id": sample_id,
        "row": position + 1,
        "content": content,
        "criterion": "c",
        "question": "",
    }


def verdict(position: int, key: str = "k", sample_id: str | None = None, **more) -> Verdict:
    said = {**names(position, sample_id or str(position)), "judge": "j", "key": f"{key}{position}"}
    return Verdict(**{**said, "label": "Yes", **more})


def session(
    path: Path, rows: int, stop_after: int | None, order: random.Random, key: str = "k", **more
) -> int:
    """One run over ``rows`` rows that is killed after ``stop_after`` new verdicts; returns the new."""
    made = 0
    with Ledger(path, "j", "c", quiet, **more) as ledger:
        todo = [n for n in range(rows) if ledger.take(n, names(n, str(n)), f"{key}{n}") is None]
        order.shuffle(todo)
        for number in todo:
            if made == stop_after:
                return made
            ledger.append(number, verdict(number, key))
            made += 1
        ledger.finish()
    return made


def tear(path: Path, count: int) -> bool:
    """A kill in the middle of a write: some bytes of the last line are there. Was there a line to tear?"""
    path.touch()  # who is killed does not take an empty file away again
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines[-1] = lines[-1][: count % len(lines[-1])]
        path.write_bytes(b"".join(lines))
    return bool(lines)


@settings(max_examples=50)
@given(
    rows=st.integers(1, 30),
    kills=st.lists(st.integers(0, 10), max_size=6),
    torn=st.lists(st.integers(0, 200), max_size=6),
    seed=st.integers(0, 1000),
)
def test_killed_runs_end_in_the_same_file(tmp_path_factory, rows, kills, torn, seed) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    whole, broken = folder / "whole.jsonl", folder / "broken.jsonl"
    session(whole, rows, None, random.Random(0))
    order = random.Random(seed)
    made = 0
    for number, stop in enumerate(kills):
        made += session(broken, rows, stop, order)
        if number < len(torn):
            made -= tear(broken, torn[number])
    made += session(broken, rows, None, order)
    assert broken.read_bytes() == whole.read_bytes()
    assert made == rows


def test_a_verdict_that_was_added_to_takes_the_place_of_the_first(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", quiet) as ledger:
        for number in range(3):
            ledger.append(number, verdict(number))
        # and then a kill: finish() is not reached
        ledger.append(1, verdict(1, critique="why", revision=1))
    assert [(v.id, v.critique) for v in read_verdicts(path)] == [
        ("0", None),
        ("2", None),
        ("1", "why"),
    ]
    with Ledger(path, "j", "c", quiet) as ledger:
        found = [ledger.take(n, names(n, str(n)), f"k{n}") for n in range(3)]
        assert [v.critique for v in found if v] == [None, "why", None]
        assert ledger.take(3, names(3, "1"), "k1") is None
        ledger.append(2, verdict(2, critique="too", revision=1))
        ledger.finish()
    assert [(v.id, v.critique) for v in read_verdicts(path)] == [
        ("0", None),
        ("1", "why"),
        ("2", "too"),
    ]
    before = path.read_bytes()
    assert session(path, 3, None, random.Random(0)) == 0
    assert path.read_bytes() == before


def test_rows_that_are_alike_keep_a_line_each(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", quiet) as ledger:
        for position in (2, 0, 1):
            ledger.append(position, verdict(position, sample_id="7", key="k", latency_s=position))
        ledger.append(1, verdict(1, sample_id="7", critique="why", revision=1))
    for _ in range(2):
        with Ledger(path, "j", "c", quiet) as ledger:
            found = [ledger.take(n, names(n, "7"), f"k{n}") for n in range(3)]
            assert [v.critique for v in found if v] == [None, "why", None]
            assert ledger.take(3, names(3, "7"), "k1") is None
            ledger.finish()
    assert [v.row for v in read_verdicts(path)] == [1, 2, 3]


def test_of_rows_alike_in_all_a_reason_for_one_is_none_for_another(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    alike = {"sample_id": "7", "content": "same"}
    with Ledger(path, "j", "c", quiet) as ledger:
        for n in range(3):
            ledger.append(n, verdict(n, **alike).model_copy(update={"key": "k"}))
        ledger.append(
            1, verdict(1, **alike, critique="why", revision=1).model_copy(update={"key": "k"})
        )
        ledger.finish()
    with Ledger(path, "j", "c", quiet) as ledger:
        found = [ledger.take(n, names(n, "7", "same"), "k") for n in range(3)]
        assert [v.critique for v in found if v] == [None, "why", None]


@pytest.mark.parametrize("moved", [0, 1, 5000])
def test_thousands_of_rows_that_are_alike_take_no_time(moved) -> None:
    known, rows = Known(), 5000
    line = Verdict(id="7", key="k", label="Yes")
    for n in range(rows):
        assert known.add(n, line.model_copy(update={"row": n + 1, "revision": 1})) is None
    start = time.process_time()
    found = [known.take("k", n + 1 + moved, "7") for n in range(rows)]
    assert sorted(n for n in found if n is not None) == list(range(rows))
    assert known.take("k", 1, "7") is None
    assert time.process_time() - start < 1  # one after the other: 4 s


def test_other_settings_put_nothing_aside(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 5, None, random.Random(1), key="old")
    assert session(path, 5, None, random.Random(1), key="new") == 5
    left_out = LeftOut()
    assert [v.key for v in read_verdicts(path, left_out)] == [f"new{i}" for i in range(5)]
    assert left_out.earlier == 5
    assert session(path, 5, None, random.Random(1), key="old") == 0
    assert [v.key for v in read_verdicts(path)] == [f"old{i}" for i in range(5)]
    assert len(path.read_bytes().splitlines()) == 10
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_fewer_rows_put_nothing_aside(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 10, None, random.Random(1))
    before = path.read_bytes()
    assert session(path, 3, None, random.Random(1)) == 0
    assert [v.id for v in read_verdicts(path)] == ["0", "1", "2"]
    assert session(path, 10, None, random.Random(1)) == 0
    assert path.read_bytes() == before


def test_a_row_in_another_place_or_under_another_id_keeps_its_verdict(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 3, None, random.Random(1))
    with Ledger(path, "j", "c", quiet) as ledger:
        assert ledger.take(0, names(0, "1"), "new") is None
        for position in range(1, 4):
            found = ledger.take(position, names(position, f"x{position}"), f"k{position - 1}")
            assert found is not None
            assert (found.id, found.row) == (f"x{position}", position + 1)
        ledger.append(0, verdict(0, "new"))
        ledger.finish()
    assert [(v.row, v.id) for v in read_verdicts(path)] == [
        (1, "0"),
        (2, "x1"),
        (3, "x2"),
        (4, "x3"),
    ]


def test_a_run_that_was_stopped_says_where_it_asked_otherwise(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 4, None, random.Random(1), key="old")
    session(path, 4, 2, random.Random(1), key="new")
    left_out = LeftOut()
    found = list(read_verdicts(path, left_out))
    assert sorted(v.row for v in found) == [1, 2, 3, 4]
    assert sorted(v.key[:3] for v in found) == ["new", "new", "old", "old"]
    assert left_out.mixed == {("c", "j"): 2}


def test_verdicts_of_other_criteria_stay(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 3, None, random.Random(1))
    with Ledger(path, "j", "other") as ledger:
        ledger.append(1, verdict(1, criterion="other", sample_id="9"))
        ledger.append(0, verdict(0, criterion="other", sample_id="8"))
        ledger.finish()
    assert [v.id for v in read_verdicts(path)] == ["0", "1", "2", "8", "9"]


def test_failed_rows_are_tried_again(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c") as ledger:
        ledger.append(0, verdict(0, label=None, error="no"))
        ledger.finish()
    assert [v.error for v in read_verdicts(path)] == ["no"]
    assert session(path, 1, None, random.Random(0)) == 1
    assert [v.error for v in read_verdicts(path)] == [None]
    assert len(path.read_bytes().splitlines()) == 1


# A table as it may change between two runs: every row is what was asked about it. Repeated rows are likely.
tables = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8)
runs = st.tuples(
    tables,
    st.sampled_from(["", "", "other"]),  # the settings
    st.integers(1, 8),  # --limit
    st.none() | st.integers(0, 5),  # killed after so many new verdicts
    st.none() | st.integers(0, 400),  # and in the middle of a line
    st.booleans(),  # rows have ids, or their numbers
)


@settings(max_examples=40)
@given(st.lists(runs, max_size=8), st.randoms(use_true_random=False))
def test_whatever_runs_come_no_verdict_is_lost_or_asked_for_twice(
    tmp_path_factory, steps, order
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "out.jsonl"
    made: dict[str, int] = {}  # key -> verdicts that were paid for and not torn

    def run(table, settings_, limit, kill, torn, has_ids) -> None:
        rows = [
            (n, names(n, f"id {cell}" if has_ids else str(n + 1), cell), f"{settings_}{cell}")
            for n, cell in enumerate(table[:limit])
        ]
        new = 0
        with Ledger(path, "j", "c", quiet) as ledger:
            todo = [
                (n, called, key) for n, called, key in rows if ledger.take(n, called, key) is None
            ]
            for key in {key for _, _, key in rows}:
                wanted = sum(k == key for _, _, k in rows)
                asked = sum(k == key for _, _, k in todo)
                assert asked == max(0, wanted - made.get(key, 0))
            order.shuffle(todo)
            for n, called, key in todo:
                if new == kill:
                    break
                ledger.append(n, Verdict(**called, judge="j", key=key, label="Yes"))
                made[key] = made.get(key, 0) + 1
                new += 1
            else:
                ledger.finish()
                counting = [(v.row, v.id, v.content, v.key) for v in read_verdicts(path)]
                assert counting == [(n + 1, c["id"], c["content"], k) for n, c, k in rows]
                return
        path.touch()  # as a kill before the first line leaves it
        written = {n + 1 for n, _, _ in todo[:new]}
        counting = [(v.row, v.content) for v in read_verdicts(path)]
        gone = [row for row, content in counting if row in written and content not in table]
        assert not gone  # a row that was judged now has no verdict of the text that it had
        assert {(n + 1, c["content"]) for n, c, _ in todo[:new]} <= set(counting)
        if new and torn is not None:
            last = json.loads(path.read_bytes().splitlines()[-1])["key"]
            made[last] -= tear(path, torn)

    for step in steps:
        run(*step)
    run(list("abcdef"), "", 6, None, None, True)
    kept = [json.loads(line)["key"] for line in path.read_bytes().splitlines()]
    assert {key: kept.count(key) for key in kept} == {k: n for k, n in made.items() if n}


def test_a_row_that_moved_counts_once_where_its_critique_was_the_last_line(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", quiet) as ledger:
        for n, text in enumerate("ab"):
            ledger.append(n, Verdict(**names(n, str(n), text), judge="j", key=text, label="Yes"))
        ledger.finish()
    for end in (False, True):
        with Ledger(path, "j", "c", quiet) as ledger:
            for n, text in enumerate("xab"):
                called = names(n, str(n), text)
                found = ledger.take(n, called, text)
                if found is None:
                    ledger.append(n, Verdict(**called, judge="j", key=text, label="Yes"))
                elif not end:
                    ledger.append(
                        n,
                        found.model_copy(
                            update={"critique": "why", "revision": found.revision + 1}
                        ),
                    )
            if end:
                ledger.finish()
        found = sorted(read_verdicts(path), key=lambda v: v.content)
        assert [(v.content, v.critique) for v in found] == [("a", "why"), ("b", "why"), ("x", None)]
    assert [(v.row, v.id) for v in found] == [(2, "1"), (3, "2"), (1, "0")]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("error", [None, "too long"])
def test_a_row_whose_text_was_edited_counts_once_where_the_run_was_stopped(tmp_path, error) -> None:
    path = tmp_path / "out.jsonl"

    def judge(texts: str, stop: int | None = None) -> list[str]:
        with Ledger(path, "j", "c", quiet) as ledger:
            rows = [(n, names(n, str(n + 1), text), text) for n, text in enumerate(texts)]
            todo = [row for row in rows if ledger.take(*row) is None]
            for n, called, key in todo[:stop]:
                failed = error if key == "b" else None
                said = None if failed else "Yes"
                ledger.append(n, Verdict(**called, judge="j", key=key, label=said, error=failed))
            if stop is None:
                ledger.finish()
        return [v.content for v in read_verdicts(path)]

    assert judge("abc", stop=2) == ["a", "b"]
    assert sorted(judge("aBcd", stop=1)) == ["B", "a"]
    left_out = LeftOut()
    list(read_verdicts(path, left_out))
    assert left_out.earlier == (error is None)
    assert sorted(judge("xaBcd", stop=1)) == ["B", "a", "x"]  # those have only moved
    assert judge("abcd") == [*"abcd"]
    assert len(path.read_bytes().splitlines()) == 6  # B and x are kept


def test_the_error_of_a_row_that_was_mended_does_not_count(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", quiet) as ledger:
        ledger.append(0, verdict(0, label=None, error="not JSON", key=""))
        ledger.append(1, verdict(1, content="b"))
        ledger.finish()
    with Ledger(path, "j", "c", quiet) as ledger:
        ledger.append(0, verdict(0, content="a"))  # and then a kill
    assert sorted((v.content, v.error) for v in read_verdicts(path)) == [("a", None), ("b", None)]


OLD_LINES = [
    '{"id": "a", "criterion": "custom", "judge": "j", "label": "Yes", "score": null, "probabilities": {"Yes": 0.9, "No": 0.1}, "confidence": 0.9, "critique": null, "error": null, "usage": {"prompt_tokens": 9, "cached_tokens": 3, "completion_tokens": 1}, "latency_s": 0.1, "key": "k0"}',
    '{"id": "b", "criterion": "custom", "judge": "j", "label": "No", "score": null, "probabilities": {"Yes": 0.2, "No": 0.8}, "confidence": 0.8, "critique": null, "error": null, "usage": {"prompt_tokens": 9, "cached_tokens": 3, "completion_tokens": 1}, "latency_s": 0.1, "key": "k1"}',
    '{"id": "b", "criterion": "custom", "judge": "j", "label": "No", "score": null, "probabilities": {"Yes": 0.2, "No": 0.8}, "confidence": 0.8, "critique": "why", "error": null, "usage": {"prompt_tokens": 9, "cached_tokens": 3, "completion_tokens": 1}, "latency_s": 0.1, "key": "k1", "critique_key": "x", "revision": 1}',
    '{"id": "c", "criterion": "custom", "judge": "j", "label": null, "score": null, "probabilities": null, "confidence": null, "critique": null, "error": "busy", "usage": {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}, "latency_s": 0.0, "key": "k2"}',
    '{"id": "d", "criterion": "custom", "judge": "j", "label": "No", "score": null, "probabilities": null, "confidence": null, "critique": null, "error": null, "usage": {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}, "latency_s": 0.0, "key": "another question"}',
]  # fmt: skip


def test_lines_of_earlier_versions_are_read_and_used(tmp_path) -> None:
    """They say neither row nor content, and what users asked in words has the one name "custom"."""
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(OLD_LINES) + "\n")
    assert [(v.id, v.critique) for v in read_verdicts(path)] == [
        ("a", None),
        ("b", "why"),
        ("c", None),
        ("d", None),
    ]
    asked = {"criterion": "Is it so?", "question": "Is it so?"}
    with Ledger(path, "j", "Is it so?", quiet) as ledger:
        found = [ledger.take(n, names(n, i) | asked, f"k{n}") for n, i in enumerate("abc")]
        assert [v and v.critique for v in found] == [None, "why", None]
        assert found[2] is None
        ledger.append(2, verdict(2, sample_id="c", **asked))
        ledger.finish()
    kept = list(read_verdicts(path))
    assert [(v.criterion, v.id) for v in kept] == [
        ("custom", "c"),
        ("custom", "d"),
        *(("Is it so?", i) for i in "abc"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"note": "mine"}, 'field "note": unknown field'),
        ({"latency_s": "soon"}, 'field "latency_s"'),
        ({"probabilities": {"Yes": 7.5}}, 'field "probabilities.Yes": 7.5'),
        ({"probabilities": {"Yes": float("nan")}}, 'field "probabilities.Yes": nan'),
        ({"confidence": -0.5}, 'field "confidence"'),
        ({"score": float("inf")}, 'field "score": inf'),
        ({"usage": [1]}, 'field "usage"'),
        ({"revision": "two"}, 'field "revision"'),
        ({"row": 0}, 'field "row"'),
        ({"id": 2}, 'field "id"'),
        ({"label": None}, "neither a label nor an error"),
        ({"error": "busy"}, "both a label and an error"),
        ({"parts": [{"label": "Yes", "confidence": 3}]}, 'field "confidence": 3'),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_is_named(tmp_path, change, said) -> None:
    path = tmp_path / "out.jsonl"
    good = verdict(0).to_json()
    path.write_text(f"{good}\n{json.dumps(json.loads(good) | change)}\n{good}\n")
    before = path.read_bytes()
    for read in (lambda: list(read_verdicts(path)), lambda: Ledger(path, "j", "c")):
        with pytest.raises(LedgerError) as error:
            read()
        assert "out.jsonl, line 2: not a verdict: " in str(error.value)
        assert "correct or remove this line" in str(error.value)
        assert said in str(error.value)
    assert path.read_bytes() == before


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "criterion", "judge", "key", "label", "parts", "first", "usage", "row"]),
        inner, max_size=9),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@settings(max_examples=40)
def test_no_line_is_a_traceback(tmp_path_factory, line) -> None:
    path = tmp_path_factory.mktemp("ledger") / "out.jsonl"
    path.write_bytes(verdict(0).to_json().encode() + b"\n" + line + b"\n")
    for read in (lambda: list(read_verdicts(path)), lambda: Ledger(path, "j", "c", quiet).close()):
        try:
            read()
        except LedgerError as error:
            assert "line 2" in str(error) or "line 3" in str(error)


def test_deeply_nested_lines_are_refused(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": ' + "[" * 5000 + "]" * 5000 + "}\n")
    with pytest.raises(LedgerError, match="line 1: not a verdict"):
        Ledger(path, "j", "c")


def test_a_torn_last_line_does_not_stop_a_report(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 3, None, random.Random(0))
    tear(path, 30)
    assert [v.id for v in read_verdicts(path)] == ["0", "1"]


def test_a_second_writer_is_refused(tmp_path) -> None:
    path, link, twin = (tmp_path / f"{name}.jsonl" for name in ("out", "link", "twin"))
    session(path, 2, None, random.Random(0))
    link.symlink_to(path.name)
    os.link(path, twin)
    with Ledger(path, "j", "c"):
        for name in (path, link, twin):
            with pytest.raises(LedgerError, match="another mene process"):
                Ledger(name, "j", "c", overwrite=True)
    Ledger(link, "j", "c").close()
    assert len(list(read_verdicts(path))) == 2


@pytest.mark.posix
def test_a_link_stays_a_link_and_a_file_keeps_its_rights(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    path, link = tmp_path / "real" / "out.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    session(link, 3, 2, random.Random(0))
    path.chmod(0o600)
    session(link, 5, None, random.Random(0))
    assert link.is_symlink()
    assert [v.id for v in read_verdicts(path)] == list("01234")
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["out.jsonl"]


def test_a_part_file_that_is_a_link_overwrites_nothing(tmp_path) -> None:
    precious, path = tmp_path / "precious.txt", tmp_path / "out.jsonl"
    precious.write_text("keep me")
    (tmp_path / ".out.jsonl.part").symlink_to(precious)
    session(path, 4, 3, random.Random(0))
    session(path, 4, None, random.Random(0))
    assert precious.read_text() == "keep me"
    assert not path.is_symlink()
    assert [v.id for v in read_verdicts(path)] == list("0123")


def test_overwrite_lets_go_of_the_old_with_the_first_verdict(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 4, None, random.Random(0), key="old")
    before = path.read_bytes()
    with Ledger(path, "j", "c", quiet, overwrite=True) as ledger:
        assert ledger.take(0, names(0, "0"), "old0") is None
        assert path.read_bytes() == before
        ledger.append(2, verdict(2, "new", label=None, error="busy"))
        assert path.read_bytes().startswith(before)  # a failure takes no verdict's place
        ledger.append(1, verdict(1, "new"))
        assert [v.key for v in read_verdicts(path)] == ["new2", "new1"]
        ledger.append(0, verdict(0, "new"))
        ledger.finish()
    assert [v.key for v in read_verdicts(path)] == ["new0", "new1", "new2"]


def test_overwrite_without_a_verdict_keeps_the_old(tmp_path) -> None:
    path, told = tmp_path / "out.jsonl", []
    session(path, 2, None, random.Random(0))
    before = path.read_bytes()
    with Ledger(path, "j", "c", told.append, overwrite=True) as ledger:
        ledger.append(0, verdict(0, "new", label=None, error="busy"))
        ledger.finish()
    assert "the earlier ones stay" in told[0]
    assert path.read_bytes() == before
    assert session(path, 2, None, random.Random(0)) == 0


@pytest.mark.parametrize(
    "content", ["hello\n", '{"a": 1}\n', "[1]\n", "name,age\nx,1", '{"id": 1}\n']
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_not_touched(tmp_path, content, overwrite) -> None:
    path = tmp_path / "precious.txt"
    path.write_text(content)
    with pytest.raises(LedgerError, match="this file does not hold verdicts; give another one$"):
        Ledger(path, "j", "c", overwrite=overwrite)
    with pytest.raises(LedgerError, match="this file does not hold verdicts"):
        list(read_verdicts(path))
    assert path.read_text() == content
    assert os.listdir(tmp_path) == ["precious.txt"]  # no lock


def test_a_run_without_a_line_leaves_no_file(tmp_path) -> None:
    (tmp_path / "old.jsonl").touch()
    for name in ("new.jsonl", "old.jsonl"):
        Ledger(tmp_path / name, "j", "c").close()
    assert os.listdir(tmp_path) == ["old.jsonl"]


def test_a_full_disk_keeps_whole_lines(tmp_path, monkeypatch) -> None:
    path = tmp_path / "out.jsonl"
    real = os.write
    with Ledger(path, "j", "c") as ledger:
        ledger.append(0, verdict(0))

        def full(file: int, data: bytes) -> int:
            real(file, bytes(data)[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.append(1, verdict(1))
        monkeypatch.undo()
    assert [v.id for v in read_verdicts(path)] == ["0"]


def test_a_line_has_every_field_users_were_promised() -> None:
    line = json.loads(verdict(1).to_json())
    promised = (
        "id criterion judge label score probabilities confidence critique error usage latency_s key"
    )
    assert list(line)[:12] == promised.split()


def test_a_system_that_replaces_no_open_file(tmp_path, monkeypatch) -> None:
    """Windows: a ledger that is put in order is closed while its file is replaced, and open afterwards."""
    monkeypatch.setattr(lines, "fcntl", None)
    path, replace = tmp_path / "out.jsonl", os.replace
    opened: list[int] = []

    def careful(source, target) -> None:
        with pytest.raises(OSError):
            os.fstat(opened[0])
        replace(source, target)

    written = open_lines(path)
    opened.append(written._file)
    for text in ('{"a":1}', '{"a":2}'):
        written.append(text)
    monkeypatch.setattr("mene.files.os.replace", careful)
    written.rewrite(reversed([line for _, line in lines.read_lines(path)]))
    written.append('{"a":3}')
    written.close()
    assert path.read_bytes() == b'{"a":2}\n{"a":1}\n{"a":3}\n'


@pytest.mark.parametrize("when", ["writing", "replacing"])
def test_a_ledger_that_cannot_be_put_in_order_goes_on_as_it_was(
    tmp_path, monkeypatch, when
) -> None:
    monkeypatch.setattr(lines, "fcntl", None)
    path = tmp_path / "out.jsonl"
    written = open_lines(path)
    written.append('{"a":1}')

    def full(*_: object) -> Iterator[bytes]:
        raise OSError(28, "No space left on device")
        yield b""

    if when == "replacing":
        monkeypatch.setattr("mene.files.os.replace", lambda *_: next(full()))
    with pytest.raises(OSError, match="No space"):
        written.rewrite(full() if when == "writing" else [b"x\n"])
    written.append('{"a":2}')
    written.close()
    assert path.read_bytes() == b'{"a":1}\n{"a":2}\n'


def test_a_lock_that_cannot_be_removed_while_it_is_held_is_let_go(tmp_path, monkeypatch) -> None:
    """Windows removes no file that is open; every run ended with an error there."""
    written = open_lines(tmp_path / "out.jsonl")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "in use")

    written.append("{}")
    with monkeypatch.context() as windows:
        windows.setattr(Path, "unlink", refused)
        written.close()
    open_lines(tmp_path / "out.jsonl").close()


@pytest.mark.parametrize(
    "name",
    [
        "nowhere/out.jsonl",
        pytest.param(
            "/proc/out.jsonl",
            marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc"),
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name: str) -> None:
    with pytest.raises(LedgerError, match=r"no folder|cannot write"):
        Ledger(tmp_path / name, "j", "c")


def test_what_a_juror_said_is_kept_until_the_jury_has_its_verdict(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    part = Verdict(judge="one", key="p", label="Yes", criterion="c")
    with Ledger(path, "jury", "c") as ledger:
        ledger.append_juror(0, part)
        ledger.append_juror(1, part)
    assert list(read_verdicts(path)) == []
    with Ledger(path, "jury", "c") as ledger:
        assert ledger.juror(0, "one", "p") is not None
        assert ledger.juror(0, "two", "p") is None
        assert ledger.juror(0, "one", "q") is None
        ledger.append(
            0, verdict(0, judge="jury", parts=[part, part.model_copy(update={"judge": "two"})])
        )
        ledger.finish()
    assert [json.loads(line).get("jury") for line in path.read_text().splitlines()] == [
        "jury",
        None,
    ]


@pytest.mark.parametrize("size", [0, 1, 999, 150_000])
def test_numbers_of_many_rows_are_put_in_order(size: int) -> None:
    numbers = array("q", ((n * 7919) % 100_003 - 50_000 for n in range(size)))
    assert list(ascending(array("q", numbers))) == sorted(numbers)
