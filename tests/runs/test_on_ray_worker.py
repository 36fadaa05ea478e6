"""A worker turns blocks into parts, as the run of one machine would judge them; Ray itself has no part here."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock

from mene.criteria_set import CriteriaSet, load_criteria
from mene.errors import EngineError, UsageError
from mene.judge.judge import Judge
from mene.runs.on_ray.blocks import Block, blocks_of, mark_of
from mene.runs.on_ray.cluster import check_node
from mene.runs.on_ray.worker import Done, Job, Worker, told_apart
from mene.runs.parts.index import Index, contents_of, index_of
from mene.runs.parts.manifest import Part, add_sums
from mene.runs.parts.overall import overall
from mene.runs.parts.part import parse_part, read_lines_of
from mene.runs.raw import Raw
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.summary import Summary
from mene.runs.tables import read_rows
from mene.runs.wide import passed, wide
from mene.verdict import Verdict

ONE = load_criteria("helpfulness")


def judge_of(engine) -> Judge:
    return Judge("openai:toy@http://localhost", mode="verdict", engine=engine)


def write_rows(path: Path, rows: int, start: int = 0) -> Path:
    lines = [
        json.dumps({"instruction": f"q{n % 7}", "response": f"answer {n}"})
        for n in range(start, rows)
    ]
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    return path


def job_of(tmp_path: Path, engine, *files: Path, criteria: CriteriaSet = ONE, **more) -> Job:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    names = tuple(map(str, files))
    work = str(out / ".under-way")
    return Job(lambda: judge_of(engine), criteria, "run", names, str(out), work, **more)


def blocks(
    job: Job, size: int = 4, done: frozenset[str] = frozenset(), limit: int | None = None
) -> list[Block]:
    return list(blocks_of(list(enumerate(job.files)), job.run, size, done, limit))


def judged(job: Job, size: int = 4, index: Index | None = None) -> Iterator[Done]:
    worker = Worker(job, index)
    return (worker.judge(block) for block in blocks(job, size) if block.rows)


def verdicts_of(job: Job, done: Done) -> list[Verdict]:
    assert done.part is not None, done.failure
    path = f"{job.folder}/{done.part.name}"
    return parse_part(path, read_lines_of(path))


def timeless(verdict: Verdict) -> Verdict:
    return verdict.model_copy(update={"latency_s": 0.0})


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_verdicts_are_those_of_one_machine(tmp_path, toy, form) -> None:
    table = write_rows(tmp_path / "rows.jsonl", 11)
    with table.open("a") as file:
        file.write('{torn\n{"instruction": "no response", "id": "mine"}\n')
    run(judge_of(toy), ONE, read_rows(str(table), criterion=ONE), tmp_path / "one.jsonl")
    job = job_of(tmp_path, toy, table, form=form)
    done = list(judged(job))
    assert [one.part and one.part.rows for one in done] == [4, 4, 4, 1]
    found = [timeless(v) for one in done for v in verdicts_of(job, one)]
    assert found == [timeless(v) for v in read_verdicts(tmp_path / "one.jsonl")]
    assert "broken JSON" in done[2].first_error
    assert done[3].part and done[3].part.summaries["helpfulness"]["errors"] == 1
    assert not list(Path(job.work).glob("*.jsonl"))


SET = """
criteria:
- helpfulness
- {criterion: tone, weight: 2}
- {name: short, question: "Is it short?", failing: ["No"], must_pass: true}
"""


def test_several_criteria_are_judged_as_on_one_machine(tmp_path, toy) -> None:
    (tmp_path / "set.yaml").write_text(SET)
    criteria = load_criteria(str(tmp_path / "set.yaml"))
    table = write_rows(tmp_path / "rows.jsonl", 7)
    with table.open("a") as file:
        file.write('{"response": "no instruction"}\n')
    ledger, sums = tmp_path / "one.jsonl", {}
    rows = read_rows(str(table), criterion=criteria)
    run(judge_of(toy), criteria, rows, ledger, summaries=sums)
    job = job_of(tmp_path, toy, table, criteria=criteria)
    parts = [one.part for one in judged(job) if one.part]
    found = [
        v for part in parts for v in parse_part("", read_lines_of(f"{job.folder}/{part.name}"))
    ]
    wanted = list(read_verdicts(ledger))
    assert [timeless(v) for v in found] == [timeless(v) for v in wanted]
    assert len(wanted) == 24
    assert [v.criterion for v in wanted if v.error] == ["helpfulness"]

    for name, whole in sums.items():
        added = Summary()
        for part in parts:
            add_sums(added, part.summaries[name])
        assert (added.rows, added.judged, added.errors) == (8, whole.judged, whole.errors)
        assert added.labels == whole.labels
    one, many = passed(wide(wanted, criteria)), overall([p.overall for p in parts], criteria)
    assert many is not None
    assert (many.samples, many.unknown, many.passed) == (one.samples, one.unknown, one.passed)
    assert many.score == pytest.approx(one.score)
    assert overall([[]], ONE) is None
    assert [Part.model_validate_json(part.model_dump_json()) for part in parts] == parts


def test_a_criterion_that_came_asks_only_its_own_questions(tmp_path, toy) -> None:
    table = write_rows(tmp_path / "rows.jsonl", 3)
    table.write_text(table.read_text() * 20)  # alike: an index looks at so many for each criterion
    job = job_of(tmp_path, toy, table, criteria=load_criteria(["helpfulness", "tone"]))
    paths = [f"{job.folder}/{one.part.name}" for one in judged(job, 60) if one.part]
    index = index_of(paths, [contents_of(path) for path in paths])
    toy.seen = []
    more = load_criteria(["tone", "Is it short?", "helpfulness"])
    job = replace(job, criteria=more, run="other")
    found = [v for one in judged(job, 60, index) for v in verdicts_of(job, one)]
    assert len(toy.seen) == 60
    assert [v.criterion for v in found[:4]] == ["tone", "is-it-short", "helpfulness", "tone"]
    assert [v.row for v in found[::3]] == list(range(1, 61))


def test_rows_of_several_tables_are_told_apart(tmp_path, toy) -> None:
    tables = [write_rows(tmp_path / name, 2) for name in ("a.jsonl", "b.jsonl")]
    job = job_of(tmp_path, toy, *tables)
    found = [v for one in judged(job) for v in verdicts_of(job, one)]
    assert [v.id for v in found] == ["a.jsonl:1", "a.jsonl:2", "b.jsonl:1", "b.jsonl:2"]
    assert [v.row for v in found] == [1, 2, 1, 2]


def test_tables_of_one_name_are_told_apart_and_own_ids_stay(tmp_path, toy) -> None:
    own = json.dumps({"id": "2", "instruction": "q", "response": "own"}) + "\n"
    tables = []
    for folder in ("two/x", "two/y"):
        (tmp_path / folder).mkdir(parents=True)
        tables.append(write_rows(tmp_path / folder / "a.jsonl", 1))
        with tables[-1].open("a") as file:
            file.write(own + '{"instruction": "no response"}\n')
    job = job_of(tmp_path, toy, *tables, write_rows(tmp_path / "b.jsonl", 1))
    found = [v.id for one in judged(job) for v in verdicts_of(job, one)]
    assert found == [
        "x/a.jsonl:1", "2", "x/a.jsonl:3", "y/a.jsonl:1", "2", "y/a.jsonl:3", "b.jsonl:1",
    ]  # fmt: skip


def test_as_much_of_a_path_is_said_as_is_needed() -> None:
    files = ("/r/x/a.csv", "/s/x/a.csv", "/s/y/a.csv", "/b.csv", "s3://k/a.csv", "a.csv")
    assert told_apart(files) == ["r/x/a.csv", "s/x/a.csv", "y/a.csv", "b.csv", "k/a.csv", "a.csv"]


def test_rows_that_share_a_text_are_asked_side_by_side(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 28))
    assert [one.part for one in judged(job, size=28)]
    asked = [request.messages[-1].content for request in toy.seen]
    assert sum(a.split("answer")[0] != b.split("answer")[0] for a, b in pairwise(asked)) <= 14


def test_a_successor_goes_on_where_a_worker_was_killed(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 20))
    [block, _] = blocks(job, size=20)

    class Killed(BaseException):
        pass

    def tell(mark: str, rows: int) -> None:
        raise Killed

    worker = Worker(job, None)
    worker._judge = judge_of(toy)
    real, count = toy.run, []

    def dies(requests, stop=None):
        for completion in real(requests, stop):
            count.append(completion)
            if len(count) == 7:
                raise Killed
            yield completion

    toy.run = dies
    with pytest.raises(Killed):
        worker.judge(block)
    kept = len(list(Path(job.work).glob("*.jsonl")))
    assert kept == 1
    [ledger] = Path(job.work).glob("*.jsonl")
    with ledger.open("a") as file:
        file.write('{"id": "torn')
    before = len(ledger.read_text().splitlines()) - 1
    toy.run, toy.seen = real, []
    done = Worker(job, None).judge(block)
    assert len(toy.seen) == 20 - before
    assert [v.row for v in verdicts_of(job, done)] == list(range(1, 21))
    assert any("is incomplete, because its writer was killed" in text for text in done.warnings)


def test_a_block_that_is_judged_twice_is_one_part(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 4))
    first, again = next(judged(job)), next(judged(job))
    assert first.part and again.part and first.part.name == again.part.name
    assert len(list(Path(job.folder).glob("part-*"))) == 1


def test_only_new_rows_are_asked(tmp_path, toy) -> None:
    table = write_rows(tmp_path / "rows.jsonl", 6)
    job = job_of(tmp_path, toy, table)
    paths = [f"{job.folder}/{one.part.name}" for one in judged(job) if one.part]
    table.write_text('{"instruction": "new", "response": "first"}\n' + table.read_text())
    write_rows(table, 9, start=6)
    index = index_of(paths, [contents_of(path) for path in paths])
    toy.seen = []
    found = [v for one in judged(job, index=index) for v in verdicts_of(job, one)]
    assert len(toy.seen) == 4
    assert [v.row for v in found] == list(range(1, 11))
    assert [v.id for v in found] == [str(n) for n in range(1, 11)]
    assert len({v.content for v in found}) == 10


def test_blocks_that_are_done_are_not_handed_on(tmp_path, toy) -> None:
    table = write_rows(tmp_path / "rows.jsonl", 10)
    job = job_of(tmp_path, toy, table)
    every = blocks(job)
    known = frozenset(block.mark for block in every[:2])
    write_rows(table, 11, start=10)
    again = blocks(job, done=known)
    assert [bool(block.raw) for block in again] == [False, False, True, False]
    assert [block.mark for block in again[:2]] == [block.mark for block in every[:2]]
    assert again[2].mark != every[2].mark
    assert (again[-1].rows, again[-1].first) == (0, 11)


def test_a_limit_counts_over_all_tables(tmp_path, toy) -> None:
    tables = [write_rows(tmp_path / name, 5) for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    found = blocks(job_of(tmp_path, toy, *tables), limit=7)
    assert [(b.file, b.rows) for b in found if b.rows] == [(0, 4), (0, 1), (1, 2)]


def test_a_table_that_cannot_be_read_on_says_so_at_its_end(tmp_path, toy) -> None:
    table = tmp_path / "rows.jsonl.gz"
    table.write_bytes(b"no gzip")
    [end] = blocks(job_of(tmp_path, toy, table))
    assert not end.rows
    assert f"{table}: damaged gzip file" in end.error


def test_a_mark_is_that_of_run_file_place_and_rows() -> None:
    rows = [Raw("a, line 1", {"response": "x"})]
    mark = mark_of("run", "/a", 0, rows)
    assert mark == mark_of("run", "/a", 0, [Raw("elsewhere", {"response": "x"})])
    others = [("other", "/a", 0, rows), ("run", "/b", 0, rows), ("run", "/a", 1, rows)]
    others.append(("run", "/a", 0, [Raw("a, line 1", {"response": "y"})]))
    assert mark not in {mark_of(*one) for one in others}


def test_an_engine_that_fails_is_opened_once_more(tmp_path, toy) -> None:
    opened = []

    def open_() -> Judge:
        opened.append(toy)
        if len(opened) == 1:
            raise EngineError("the process ended")
        return judge_of(toy)

    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 2))
    job = replace(job, open=open_)
    assert next(judged(job)).part
    opened.clear()

    def wrong() -> Judge:
        opened.append(toy)
        raise UsageError("no such judge")

    job = replace(job, open=wrong)
    done = next(judged(job))
    assert (done.failure, done.usage, len(opened)) == ("no such judge", True, 1)


def test_what_nobody_foresaw_is_said_by_its_name(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 2))
    worker = Worker(replace(job, open=lambda: 1 / 0), None)
    [block, _] = blocks(job)
    assert worker.judge(block).failure == "a worker failed: ZeroDivisionError: division by zero"


def test_a_ledger_in_other_hands_does_not_stop_a_block(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy, write_rows(tmp_path / "rows.jsonl", 2))
    [block, _] = blocks(job)
    Path(job.work).mkdir(parents=True)
    with FileLock(f"{job.work}/.{block.mark}.jsonl.lock"):
        done = Worker(job, None).judge(block)
    assert len(verdicts_of(job, done)) == 2


def test_a_job_can_be_sent_to_another_machine(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    sent = pickle.loads(pickle.dumps(replace(job, open=opened)))
    assert sent.criteria == ONE


def opened() -> Judge:
    raise AssertionError


def test_a_node_with_another_mene_is_refused() -> None:
    from mene import __version__
    from mene.runs.on_ray.cluster import _python

    check_node("n", __version__, _python(), True, "/out/.probe")
    with pytest.raises(EngineError, match=r"node n has mene 0\.0\.1, .* pip install mene=="):
        check_node("n", "0.0.1", _python(), True, "/out/.probe")
    with pytest.raises(EngineError, match=r"has Python 3\.1"):
        check_node("n", __version__, "3.1", True, "/out/.probe")
    with pytest.raises(
        EngineError, match="does not see /out; give a folder that all machines share"
    ):
        check_node("n", __version__, _python(), False, "/out/.probe")
