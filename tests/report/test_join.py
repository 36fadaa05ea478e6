"""Which row a verdict is about: ids may repeat, be missing, or look like a number."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

import pytest

from mene.cli.align import AlignOptions, align
from mene.cli.report import ReportOptions, report
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.judge.judge import Judge
from mene.report.join import Join
from mene.runs.read_ledger import read_verdicts
from mene.runs.tables import read_rows
from mene.sample import Sample
from mene.verdict import Verdict


def table(tmp_path: Path, *rows: dict) -> list:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read_rows(str(path)))


def verdicts_on(rows: list) -> list[Verdict]:
    return [
        Verdict(
            id=r.sample.id, criterion="c", judge="j", label="Yes", row=r.number + 1, content=r.sample.content,
        )
        for r in rows
    ]  # fmt: skip


def earlier(*ids: str, criterion: str = "c") -> list[Verdict]:
    """As earlier versions wrote them: the id is all that they say of the row."""
    return [Verdict(id=i, criterion=criterion, judge="j", label="Yes") for i in ids]


def places(rows: list, verdicts: list[Verdict]) -> tuple[list[int | None], Join]:
    joined = Join({row.number: row.sample for row in rows if row.sample is not None})
    for verdict in verdicts:
        joined.add(verdict)
    return [joined.place(v) for v in verdicts], joined


IDS = [{"id": "a"}, {"id": "a"}, {"id": 2}, {"id": "2"}, {}, {"id": "5"}]


def test_every_row_has_its_own_verdict_whatever_its_id(tmp_path) -> None:
    rows = table(tmp_path, *({**row, "response": f"r{n}"} for n, row in enumerate(IDS)))
    found, joined = places(rows, verdicts_on(rows)[::-1])
    assert found == [5, 4, 3, 2, 1, 0]
    assert (joined.lost, joined.by_id) == (0, 0)


def test_rows_that_are_alike_are_told_apart_by_their_place(tmp_path) -> None:
    rows = table(tmp_path, *[{"id": "a", "response": "same"}] * 3)
    assert places(rows, verdicts_on(rows))[0] == [0, 1, 2]


def test_rows_that_are_alike_and_moved_are_taken_once_each(tmp_path) -> None:
    given = verdicts_on(table(tmp_path, *[{"response": "same"}] * 3))
    moved = table(tmp_path, {"response": "new"}, *[{"response": "same"}] * 2)
    other = [v.model_copy(update={"judge": "k"}) for v in given]
    found, joined = places(moved, given + other)
    assert sorted(found[:3], key=str) == sorted(found[3:], key=str) == [1, 2, None]
    assert joined.lost == 2


@pytest.mark.parametrize("content", ["same", "", "gone"])
def test_thousands_of_rows_that_are_alike_take_no_time_to_join(content) -> None:
    rows = 10_000
    joined = Join({n: Sample(id="a", response="same") for n in range(rows)})
    same = joined.samples[0].content
    joined.add(Verdict(id="a", label="Yes", content=same))
    told = Verdict(id="a", label="Yes", content=same if content == "same" else content)
    start = time.process_time()
    for n in range(rows):
        joined.place(told.model_copy(update={"row": 2 * n + 1}))
    assert time.process_time() - start < 1
    assert joined.lost == {"same": 0, "": rows // 2, "gone": rows}[content]


def test_a_row_that_moved_is_found_by_its_content(tmp_path) -> None:
    rows = table(tmp_path, {"response": "x"}, {"response": "y"})
    given = verdicts_on(rows)
    moved = table(tmp_path, {"response": "new"}, {"response": "x"}, {"response": "y"})
    assert places(moved, given)[0] == [1, 2]


def test_a_row_that_is_gone_takes_no_other_rows_label(tmp_path) -> None:
    """Without ids of its own, the row behind it has its number now."""
    given = verdicts_on(table(tmp_path, *({"response": text} for text in "xyz")))
    found, joined = places(table(tmp_path, {"response": "x"}, {"response": "z"}), given)
    assert found == [0, None, 1]
    assert (joined.lost, joined.by_id) == (1, 0)


def test_two_criteria_may_have_read_one_table_with_other_maps(tmp_path) -> None:
    """The verdicts of the first were lost where the second's ``--map`` was given."""
    rows = [{"prompt": f"q{n}", "output": "r", "chunks": f"c{n}", "gold": "g"} for n in range(3)]
    table(tmp_path, *rows)
    path = str(tmp_path / "rows.jsonl")
    read = [
        list(read_rows(path, names)) for names in ({"context": "chunks"}, {"reference": "gold"})
    ]
    first = [v.model_copy(update={"criterion": "first"}) for v in verdicts_on(read[0])]
    found, joined = places(read[1], [*first, *verdicts_on(read[1])])
    assert found == [0, 1, 2] * 2
    assert (joined.by_id, joined.lost) == (3, 0)


def test_the_next_command_reads_the_table_as_every_criterion_did(
    toy, tmp_path, monkeypatch, here
) -> None:
    """It named the last run's ``--map`` alone, so that the labels of one criterion were held against verdicts on the other."""
    monkeypatch.setattr(
        "mene.cli.judge.open_judge",
        lambda specs, options: Judge("openai:toy@http://localhost", engine=toy, template="prefix"),
    )
    rows = [
        {"a": f"one {n}", "b": f"two {n}", "kind": "Yes", "true": "No" if n % 2 else "Yes"}
        for n in range(6)
    ]
    table(tmp_path, *rows)
    path = str(tmp_path / "rows.jsonl")
    for question, maps in (("Is it kind?", ("a", "kind")), ("Is it true?", ("b", "true"))):
        maps = [f"--map={f}={c}" for f, c in zip(("response", "label"), maps, strict=True)]
        done = here(
            "judge",
            path,
            "-c",
            question,
            "-s",
            "yes/no",
            "-j",
            "openai:toy@http://localhost",
            *maps,
        )
    [line] = [line for line in done.stderr.splitlines() if line.startswith("next")]
    command = shlex.split(line)[1:]
    assert command == ["mene", "report", str(tmp_path / "rows.verdicts.jsonl"), "--data", path]
    done = here(*command[1:], "--json")
    assert done.returncode == 0 and "by the ids" not in done.stderr
    found = {s["criterion"]: s for s in json.loads(done.stdout)}
    for criterion, column in (("is-it-kind", "kind"), ("is-it-true", "true")):
        section = found[criterion]
        verdicts = [
            v for v in read_verdicts(tmp_path / "rows.verdicts.jsonl") if v.criterion == criterion
        ]
        right = [v.label.lower() == rows[v.row - 1][column].lower() for v in verdicts]
        assert len(right) == 6 and section["agreement"]["accuracy"]["value"] == sum(right) / 6
    # What the user says goes before what the verdicts do, and a table of labels alone needs no column of a text.
    both = ("-c", "Is it kind?", "-c", "Is it true?")
    done = here(*command[1:], "--json", "--map", "label=true", *both)
    assert [s["agreement"]["accuracy"]["n"] for s in json.loads(done.stdout)] == [6, 6]
    table(tmp_path, *({"id": str(n + 1), "true": "Yes"} for n in range(6)))
    done = here(*command[1:], "--json", "--map", "label=true", *both)
    assert [s["agreement"]["accuracy"]["n"] for s in json.loads(done.stdout)] == [6, 6]


def test_a_table_of_labels_alone_goes_by_its_ids(tmp_path) -> None:
    given = verdicts_on(table(tmp_path, {"id": "p", "response": "x"}, {"id": "q", "response": "y"}))
    found, joined = places(table(tmp_path, {"id": "q", "label": 1}, {"id": "p", "label": 0}), given)
    assert found == [1, 0]
    assert joined.by_id == 0
    changed = table(tmp_path, {"id": "q", "response": "other"}, {"id": "p", "response": "x"})
    found, joined = places(changed, given)
    assert found == [1, 0]
    assert joined.by_id == 1  # and that is said


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("aab", [0, 1, 2]),
        ("b", [2]),
        ("aba", [None, 2, None]),  # a run that was killed: nobody knows which is which
        ("ab", [None, 2]),
        ("aabx", [0, 1, 2, None]),
    ],
)
def test_of_earlier_versions_only_the_order_tells(tmp_path, told, found) -> None:
    rows = table(tmp_path, *({"id": i, "response": i + "!"} for i in "aab"))
    given = [*earlier(*told), *earlier("a", "a", criterion="other")]
    assert places(rows, given)[0] == [*found, 0, 1]


def test_the_verdicts_of_a_killed_run_are_joined_too(tmp_path) -> None:
    rows = table(tmp_path, {"id": "a", "response": "x"}, {"id": "a", "response": "y"})
    path = tmp_path / "v.jsonl"
    path.write_text("".join(v.to_json() + "\n" for v in verdicts_on(rows)[::-1]))
    assert places(rows, list(read_verdicts(path)))[0] == [1, 0]


def test_a_report_joins_by_row_and_says_what_it_leaves_out(tmp_path, capsys) -> None:
    labels = ("Yes", "No", "Yes", "Yes")
    rows = table(
        tmp_path,
        *({"id": "a", "response": f"r{n}", "label": label} for n, label in enumerate(labels)),
    )
    question = "Is it so? " * 20
    given = [
        v.model_copy(update={"question": question, "earlier": v.row == 4})
        for v in verdicts_on(rows)
    ]
    path = tmp_path / "v.jsonl"
    path.write_text("".join(v.to_json() + "\n" for v in given))
    report(ReportOptions(verdicts=path, data=str(tmp_path / "rows.jsonl")))
    shown = capsys.readouterr()
    assert "3 rows" in shown.out
    assert "accuracy 0.667" in shown.out
    assert "Is it so? Is it so?" in shown.out
    assert question.strip() in path.with_suffix(".html").read_text()
    assert "1 of its verdicts are not counted: they belong to an earlier run" in shown.err


def test_a_report_takes_the_place_of_nothing_that_it_reads(tmp_path) -> None:
    given = verdicts_on(table(tmp_path, {"response": "x"}))
    rows, path = tmp_path / "rows.jsonl", tmp_path / "v.html"
    path.write_text(text := given[0].to_json() + "\n")
    before = rows.read_text()
    for output in (None, path, rows):
        with pytest.raises(UsageError, match="is the input itself"):
            report(ReportOptions(verdicts=path, data=str(rows), output=output))
    assert (path.read_text(), rows.read_text()) == (text, before)
    with pytest.raises(UsageError, match="is the input itself"):
        align(AlignOptions(file=str(rows), criterion="tone", judge="nano", output=rows))


def test_a_report_takes_the_place_of_a_page_alone(tmp_path) -> None:
    given = verdicts_on(table(tmp_path, {"response": "x"}))
    path, other, page = (tmp_path / name for name in ("v.jsonl", "other.jsonl", "page.html"))
    for each in (path, other):
        each.write_text(given[0].to_json() + "\n")
    with pytest.raises(UsageError, match="other.jsonl exists and is not a page"):
        report(ReportOptions(verdicts=path, output=other))
    assert other.read_text() == path.read_text()
    page.touch()
    for _ in range(2):
        report(ReportOptions(verdicts=path, output=page))
        assert page.stat().st_size


def test_a_report_of_a_table_without_the_mapped_column_is_refused(tmp_path) -> None:
    """It left all rows out, wrote the page anew without them, and ended with 0."""
    given = verdicts_on(table(tmp_path, {"response": "x", "hum": {"said": "Yes"}}))
    rows, path, page = (str(tmp_path / name) for name in ("rows.jsonl", "v.jsonl", "v.html"))
    Path(path).write_text(given[0].to_json() + "\n")
    Path(page).write_text(before := "<!doctype html>")
    for column, said, has in (
        ("human", 'no column "human" (--map label=human)', "response, hum"),
        ("hum.sayd", "no row of", '"hum" has: hum.said'),
    ):
        with pytest.raises(UsageError) as caught:
            report(ReportOptions(verdicts=Path(path), data=rows, map_=[f"label={column}"]))
        assert said in str(caught.value) and has in str(caught.value)
    assert Path(page).read_text() == before


def test_a_field_that_nobody_showed_costs_no_label(tmp_path, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "response": "x", "reference": Infinity, "label": "Yes"}\n')
    [row] = read_rows(str(rows), None, load_criterion("tone"))
    assert row.sample is not None
    path = tmp_path / "v.jsonl"
    path.write_text(verdicts_on([row])[0].to_json() + "\n")
    report(ReportOptions(verdicts=path, data=str(rows), json_=True))
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["agreement"]["accuracy"]["n"] == 1
    assert "cannot be read" not in shown.err
    assert "about a row" not in shown.err


def test_rows_that_all_failed_are_not_another_table(tmp_path, capsys) -> None:
    given = verdicts_on(table(tmp_path, {"response": "x"}, {"response": "y"}))
    path = tmp_path / "v.jsonl"
    for v in given:
        v.label, v.error = None, "the server is gone"
    path.write_text("".join(v.to_json() + "\n" for v in given))
    report(ReportOptions(verdicts=path, data=str(tmp_path / "rows.jsonl")))
    assert "is it the table that was judged" not in capsys.readouterr().err


def test_a_report_of_a_stopped_run_says_that_it_is_mixed(tmp_path, capsys) -> None:
    given = verdicts_on(table(tmp_path, {"response": "x"}, {"response": "y"}))
    given = [v.model_copy(update={"key": "old"}) for v in given]
    given.append(given[0].model_copy(update={"key": "new"}))
    path = tmp_path / "v.jsonl"
    path.write_text("".join(v.to_json() + "\n" for v in given))
    report(ReportOptions(verdicts=path))
    shown = capsys.readouterr()
    assert "2 rows" in shown.out
    assert (
        "the last run of j on c was stopped: it judged 1 row with a new prompt or settings"
        in shown.err
    )
