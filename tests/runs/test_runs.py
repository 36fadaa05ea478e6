"""Runs: what is asked, kept and handed on, whatever stops them or changes between them."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from itertools import dropwhile, islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from mene import Judge, Sample
from mene.cli.console import ReaderGone
from mene.criterion import load_criterion
from mene.engines.later import LaterEngine
from mene.errors import LedgerError, ModelError, UsageError
from mene.events import nowhere
from mene.judge.jury import Jury
from mene.judge.preset import load_preset
from mene.runs.check import check_first
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.tables import Row
from mene.verdict import Verdict

POLITE = load_criterion("Is it polite?")
PRESET = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})


def rows(*texts: str, ids: list[str] | None = None) -> list[Row]:
    called = ids or [str(n + 1) for n in range(len(texts))]
    return [
        Row(n, f"line {n + 1}", Sample(id=name, response=text))
        for n, (name, text) in enumerate(zip(called, texts, strict=True))
    ]


def judge_of(toy, name: str = "toy", **more) -> Judge:
    return Judge(PRESET.model_copy(update={"name": name}), engine=toy, **more)


def go(toy, path: Path | None, table: list[Row], criterion=POLITE, **more):
    return run(judge_of(toy), criterion, table, path, events=nowhere, **more)


def test_fewer_rows_another_scale_and_back_ask_nothing_twice(toy, tmp_path) -> None:
    path, table = tmp_path / "v.jsonl", rows(*"abcdefghij")
    scored = load_criterion("Is it polite?", "1-5")
    go(toy, path, table)
    assert go(toy, path, table, limit=3).reused == 3
    assert len(list(read_verdicts(path))) == 3
    assert go(toy, path, table, scored).judged == 10
    asked = len(toy.seen)
    for criterion in (POLITE, scored, POLITE):
        assert go(toy, path, table, criterion).reused == 10
        labels = {v.label for v in read_verdicts(path)}
        assert labels <= set(criterion.scale.labels)
    assert len(toy.seen) == asked == 20
    assert [p.name for p in tmp_path.iterdir()] == ["v.jsonl"]


def test_two_questions_have_their_own_verdicts_and_their_words(toy, tmp_path) -> None:
    path, table = tmp_path / "v.jsonl", rows("a", "b")
    long = "Is it polite, " + "and is it also short, " * 9 + "or is it neither?"
    for question in ("Is it polite?", long, long + " Really?", "Is it polite?"):
        go(toy, path, table, load_criterion(question))
    found = list(read_verdicts(path))
    assert len(found) == 6
    assert len({v.criterion for v in found}) == 3
    assert {v.question for v in found} == {"Is it polite?", long, long + " Really?"}
    assert all(len(v.criterion) <= 60 for v in found)


def test_a_new_row_in_front_does_not_mean_that_all_are_judged_again(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    go(toy, path, rows("a", "b", "c"))
    summary = go(toy, path, rows("new", "a", "b", "c"))
    assert (summary.judged, summary.reused) == (1, 3)
    assert [(v.row, v.id) for v in read_verdicts(path)] == [(n, str(n)) for n in range(1, 5)]


def test_overwrite_takes_nothing_away_before_there_is_a_verdict(toy, tmp_path) -> None:
    path, table = tmp_path / "v.jsonl", rows("a", "b")
    go(toy, path, table)
    before = path.read_bytes()
    toy.fail_on = "Is it polite?"
    assert go(toy, path, table, overwrite=True).errors == 2
    assert path.read_bytes().startswith(before)
    toy.fail_on = None
    assert go(toy, path, table, overwrite=True).judged == 2
    assert len(path.read_bytes().splitlines()) == 2
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"precious": 1}\n')
    with pytest.raises(LedgerError, match="not a verdict"):
        go(toy, notes, table, overwrite=True)
    assert notes.read_text() == '{"precious": 1}\n'


def test_without_a_file_verdicts_come_in_the_order_of_the_rows(toy) -> None:
    out: list[Verdict] = []
    table = rows(*"zyxwvutsrqponmlkjihgfedcba")
    table[3] = Row(3, "line 4", None, "line 4: broken")
    go(toy, None, table, on_verdict=out.append)
    assert [v.row for v in out] == list(range(1, 27))
    assert out[3].error == "line 4: broken"


def test_a_broken_row_is_written_down_as_soon_as_it_is_read(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"

    def table():
        yield Row(0, "line 1", None, "line 1: broken")
        assert [v.error for v in read_verdicts(path)] == ["line 1: broken"]
        yield from rows("x", "y")[1:]

    assert go(toy, path, table()).judged == 1


def test_without_a_file_a_stopped_run_hands_on_what_it_has(toy) -> None:
    out: list[Verdict] = []

    def stop(table):
        for n, row in enumerate(table):
            if n == 20:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        go(toy, None, stop(rows(*"zyxwvutsrqponmlkjihgfedcba")), on_verdict=out.append)
    assert [v.row for v in out] == list(range(1, 17))


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("probabilities", {"Yes": float("nan"), "No": 0.5}),
        ("probabilities", {"Yes": 7.5, "No": -6.5}),
        ("latency_s", float("inf")),
        ("critique", "half an \ud83d emoji, and \ud83d\ude00 in two halves"),
        ("notes", ["\udc80"]),
    ],
)
def test_no_answer_to_a_row_ends_the_run(toy, tmp_path, what, value) -> None:
    path, plain = tmp_path / "v.jsonl", Judge.conclude

    class Odd(Judge):
        def conclude(self, ask, sample, criterion, completions):
            verdict = plain(self, ask, sample, criterion, completions)
            odd = sample.response == "b"
            return verdict.model_copy(update={what: value}) if odd else verdict

    summary = run(Odd(PRESET, engine=toy), POLITE, rows("a", "b", "c"), path)
    found = list(read_verdicts(path))
    if what in ("critique", "notes"):
        assert summary.errors == 0
        assert "\ufffd" in str(getattr(found[1], what))
        assert what == "notes" or "\U0001f600" in found[1].critique
    else:
        assert [v.error is None for v in found] == [True, False, True]
        assert f'field "{what}' in str(found[1].error)


class Shared:
    """Counts what several jurors ask, and stops after so many answers."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.asked = stop, 0


class Juror:
    def __init__(self, toy, shared: Shared, identity: str) -> None:
        self._toy, self._shared, self.identity = toy, shared, identity
        self.context, self.control_tokens = toy.context, toy.control_tokens

    def run(self, requests, stop=None):
        for done in self._toy.run(r for r in requests if r is not None):
            if self._shared.asked == self._shared.stop:
                raise KeyboardInterrupt
            self._shared.asked += 1
            yield done

    def close(self) -> None:
        pass


def jury_of(toy, stop: int | None = None) -> tuple[Jury, Shared]:
    shared = Shared(stop)
    return Jury([judge_of(Juror(toy, shared, f"toy:{n}"), n) for n in ("one", "two")]), shared


def test_a_jury_writes_as_it_goes_and_a_stopped_one_asks_nobody_twice(toy, tmp_path) -> None:
    whole, broken, table = tmp_path / "w.jsonl", tmp_path / "b.jsonl", rows(*map(str, range(40)))
    run(jury_of(toy)[0], POLITE, table, whole)
    asked = 0
    for stop in (1, 4, 7, 13, 20, None):
        jury, shared = jury_of(toy, stop)
        try:
            run(jury, POLITE, table, broken)
        except KeyboardInterrupt:
            asked += shared.asked
            said = sum(len(v.parts) for v in read_verdicts(broken))
            kept = sum('"jury"' in line for line in broken.read_text().splitlines())
            assert kept == asked
            assert (
                asked - said <= 2 + len(table) // 4
            )  # rows have their verdict as soon as both spoke
        else:
            asked += shared.asked
    assert asked == 80

    def said(path: Path) -> list[Verdict]:
        return [v.model_copy(update={"latency_s": 0}) for v in read_verdicts(path)]

    assert said(broken) == said(whole)
    assert not any('"jury"' in line for line in broken.read_text().splitlines())


def test_jurors_that_share_an_engine_take_turns(toy, tmp_path) -> None:
    jury = Jury([judge_of(toy, "one"), judge_of(toy, "two")])
    summary = run(jury, POLITE, rows("a", "b", "c"), tmp_path / "v.jsonl")
    assert summary.judged == 3


def test_what_one_juror_said_stays_where_the_other_failed(toy, tmp_path) -> None:
    path, shared = tmp_path / "v.jsonl", Shared()
    good, bad = Juror(toy, shared, "toy:1"), Juror(toy, shared, "toy:2")
    bad_run = bad.run

    def fail(requests, stop=None):
        for done in bad_run(requests):
            yield replace(done, label=None, probabilities=None, error=LedgerError("busy"))

    bad.run = fail
    table = rows("a", "b")
    jury = Jury([judge_of(good, "one"), judge_of(bad, "two")])
    assert run(jury, POLITE, table, path).errors == 2
    bad.run = bad_run
    shared.asked = 0
    assert run(jury, POLITE, table, path).judged == 2
    assert shared.asked == 2  # only the one that failed
    assert len(path.read_text().splitlines()) == 2


def test_a_run_with_nothing_to_do_loads_nothing(toy, tmp_path, monkeypatch) -> None:
    loads: list[int] = []

    def load():
        loads.append(1)
        return toy

    header = type("Header", (), {"control_tokens": toy.control_tokens, "context": toy.context})
    monkeypatch.setattr("mene.engines.later.read_header", lambda path: header)
    monkeypatch.setattr("mene.weights.gguf_header.file_identity", lambda path: "1")
    monkeypatch.setattr(toy, "identity", "llamacpp:1")
    for expected in (1, 1, 2):
        later = LaterEngine(tmp_path / "model.gguf", (), None, load)
        run(
            judge_of(later),
            POLITE,
            rows("a", "b") if expected == 1 else rows("a", "c"),
            tmp_path / "v",
        )
        later.close()
        assert len(loads) == expected


def test_the_seconds_of_a_run_leave_out_its_own_loading_alone(toy, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("mene.runs.run.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("mene.runs.run.LaterEngine", type(toy))
    toy.loading_s = 0.0

    def slow(table, loading: float = 0.0):
        clock[0] += 5 + loading
        toy.loading_s += loading
        yield from table

    judge = judge_of(toy)
    assert run(judge, POLITE, slow(rows("a"), loading=100), None).seconds == 5
    assert run(judge, POLITE, slow(rows("b")), None).seconds == 5


def test_an_empty_response_is_judged_and_said(toy, tmp_path, monkeypatch, here) -> None:
    monkeypatch.setattr("mene.cli.judge.open_judge", lambda specs, options: judge_of(toy))
    table = tmp_path / "t.csv"
    table.write_text("question,answer\nWhy so?,\nWho is it?,He.\n")
    done = here("judge", table, "-c", "Is it polite?", "--explain", "none")
    first, second = sorted(done.stdout.splitlines())
    assert first.endswith("response is empty") and "Why" not in first
    assert second.endswith("He.")
    assert "1 row has an empty response, judged like any other" in done.stderr
    done = here("judge", table, "-c", "Is it polite?", "--explain", "none", "--json")
    assert json.loads(done.stdout)["empty"] == 1


def test_a_reader_that_goes_before_the_last_row_is_no_success(
    toy, tmp_path, monkeypatch, here
) -> None:
    """`mene judge … -o - | head -1` ended with 0, which is for "every row has a verdict"."""

    def gone(line: str) -> None:
        raise ReaderGone

    monkeypatch.setattr("mene.cli.judge.open_judge", lambda specs, options: judge_of(toy))
    monkeypatch.setattr("mene.cli.watch.hand_on", gone)
    table = tmp_path / "t.jsonl"
    table.write_text('{"response": "x"}\n' * 12)
    done = here("judge", table, "-c", "Is it polite?", "-o", "-")
    assert done.returncode == 141
    assert "mene:" not in done.stderr


@pytest.mark.parametrize("judged", [0, 3])
def test_a_stopped_run_says_how_many_rows_are_to_go(
    toy, tmp_path, monkeypatch, here, judged
) -> None:
    """It counted those read ahead: 16 of 50."""
    monkeypatch.setattr("mene.cli.judge.open_judge", lambda specs, options: judge_of(toy))
    answer, table = toy.run, tmp_path / "t.jsonl"

    def run(requests, stop=None):
        yield from islice(answer(requests), judged)
        raise KeyboardInterrupt

    monkeypatch.setattr(toy, "run", run)
    table.write_text('{"response": "x"}\n' * 50)
    command = ["judge", table, "-c", "Is it polite?", "--explain", "none"]
    done = here(*command)
    assert done.returncode == 130
    assert f"50 rows: {judged} judged, {50 - judged} to go" in done.stderr
    for said in ("next", "verdicts ", "The verdicts so far"):
        assert (said in done.stderr) == bool(judged), said


@pytest.mark.parametrize("command", ["judge", "align", "pull"])
def test_ctrl_c_says_a_word_wherever_it_comes(tmp_path, monkeypatch, here, command) -> None:
    def stop(*_, **__):
        raise KeyboardInterrupt

    for name in ("judge.open_judge", "align.open_one", "pull.fetch"):
        monkeypatch.setattr(f"mene.cli.{name}", stop)
    table = tmp_path / "t.jsonl"
    labels = ('{"response": "x", "label": "Yes"}\n', '{"response": "y", "label": "No"}\n')
    table.write_text("".join(labels * 12))
    arguments = ["nano"] if command == "pull" else [table, "-c", "Is it polite?", "-j", "nano"]
    done = here(command, *arguments)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "mene: stopped; run the same command again to continue\n"


@pytest.mark.parametrize("more", [0, 1])
def test_others_are_named_only_where_there_are_some(toy, tmp_path, monkeypatch, here, more) -> None:
    monkeypatch.setattr("mene.cli.judge.open_judge", lambda specs, options: judge_of(toy))
    table = tmp_path / "t.jsonl"
    table.write_text('{"response": "x"}\n' * (2 + more))
    said = here("judge", table, "-c", "Is it polite?", "--show", 2, "--explain", "none")
    assert said.stdout.count("the others go to") == more, said


def test_a_judge_that_is_closed_while_it_loads_is_freed(toy, tmp_path, monkeypatch) -> None:
    header = type("Header", (), {"control_tokens": toy.control_tokens, "context": toy.context})
    monkeypatch.setattr("mene.engines.later.read_header", lambda path: header)
    monkeypatch.setattr("mene.weights.gguf_header.file_identity", lambda path: "1")
    monkeypatch.setattr(toy, "identity", "llamacpp:1")

    def load():
        later.close()  # as another thread may at this moment
        return toy

    later = LaterEngine(tmp_path / "model.gguf", (), None, load)
    for _ in range(2):
        with pytest.raises(ModelError, match="was closed"):
            _ = later.engine
    assert toy.closed


def test_a_fork_does_not_wait_for_the_loading_of_its_parent(toy, tmp_path, monkeypatch) -> None:
    header = type("Header", (), {"control_tokens": toy.control_tokens, "context": toy.context})
    monkeypatch.setattr("mene.engines.later.read_header", lambda path: header)
    monkeypatch.setattr("mene.weights.gguf_header.file_identity", lambda path: "1")
    monkeypatch.setattr(toy, "identity", "llamacpp:1")

    def load():
        with monkeypatch.context() as forked:  # at this moment: the lock is taken there for ever
            forked.setattr("os.getpid", lambda: -1)
            with pytest.raises(ModelError, match="after the fork"):
                _ = later.engine
        return toy

    later = LaterEngine(tmp_path / "model.gguf", (), None, load)
    assert later.engine is toy


def test_lines_say_row_and_content(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    go(toy, path, rows("a", "b", ids=["x", "x"]))
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(v["id"], v["row"]) for v in found] == [("x", 1), ("x", 2)]
    assert found[0]["content"] == Sample(response="a", label="1", id="y").content
    assert found[0]["content"] != found[1]["content"]


def test_a_quiet_run_of_which_all_rows_fail_says_where_the_errors_are(
    here, tmp_path, toy, monkeypatch
) -> None:
    """With ``--overwrite`` a file keeps what it had, and the errors are not in it."""
    table, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    table.write_text('{"instruction": "Hi", "response": "broken"}\n')
    opened = lambda *_: Judge("nano", engine=toy)  # noqa: E731
    monkeypatch.setattr("mene.cli.judge.open_judge", opened)
    command = ["judge", table, "-c", "tone", "-j", "nano", "-o", out, "-q"]
    toy.fail_on = "broken"
    done = here(*command)
    assert done.stderr.strip() == f"mene: 1 of 1 rows failed; see `error` in {out}"
    assert '"error":' in out.read_text()
    toy.fail_on = None
    assert here(*command).returncode == 0
    toy.fail_on, before = "broken", out.read_bytes()
    done = here(*command, "--overwrite")
    assert done.returncode == 1
    assert f"the first with: {table}, line 1: toy failure; try again" in done.stderr
    assert f"{out} keeps the verdicts that it had" in done.stderr
    assert out.read_bytes() == before
    assert "the first: toy failure" in here(*command[:-1], "--json", "--overwrite").stderr


def test_a_pipe_of_which_no_row_has_the_field_is_refused_once(here, tmp_path, monkeypatch) -> None:
    lines = "".join(json.dumps({"question": "Hi", "answr": str(n)}) + "\n" for n in range(100))
    out = tmp_path / "out.jsonl"
    for text in (lines, lines.splitlines()[0], "{broken\n" + lines):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        done = here("judge", "-", "-c", "tone", "-j", "nano", "-o", out)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert 'standard input: no column for "response", which tone needs' in done.stderr
        assert "the columns are question, answr" in done.stderr
        assert not out.exists()


def test_a_pipe_is_not_held_back_and_loses_no_row() -> None:
    tone = load_criterion("tone")
    bad = [Row(n, "", None, "no response", columns=("x",)) for n in range(30)]
    good = Row(30, "", Sample(response="x"))
    for rows in ([bad[0], good, *bad], [None, None, bad[0], None, *bad, good], [good], []):
        handed = list(check_first(iter(rows), tone, {}))
        assert handed == list(dropwhile(lambda row: row is None, rows))
    waiting = iter([bad[0], None])
    assert next(check_first(waiting, tone, {})) is bad[0]
    assert list(check_first([Row(0, "", None, "broken JSON")] * 30, tone, {}))
    with pytest.raises(UsageError, match='no column for "response"'):
        check_first([*bad, good], tone, {})  # not among the first
    with pytest.raises(UsageError, match='no column "y" .--map context=y.; the columns are x'):
        check_first(bad, tone, {"response": "x", "context": "y"})


def test_a_quiet_run_tells_of_rows_and_of_critiques(here, tmp_path, toy, monkeypatch) -> None:
    def failing(*given, summaries, **more) -> None:
        [summary] = summaries.values()
        summary.rows, summary.errors, summary.unwritten = 3, 1, 1

    monkeypatch.setattr("mene.cli.judge.open_judge", lambda *_: judge_of(toy))
    monkeypatch.setattr("mene.cli.judge.run", failing)
    table = tmp_path / "t.jsonl"
    table.write_text('{"response": "x"}\n')
    said = here("judge", table, "-c", "Is it polite?", "-q", "--explain", "none").stderr
    assert "1 of 3 rows failed" in said
    assert "1 critiques could not be written" in said
