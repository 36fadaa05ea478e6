"""What is printed: text from elsewhere steers no terminal, whatever it holds and wherever it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

from mene.cli.console import (
    ReaderGone,
    Screen,
    hand_on,
    plain,
    progress_bar,
    say,
    show,
    show_json,
    spinner,
    warner,
    words,
)
from mene.cli.few_words import FewWords, first_words
from mene.cli.judges import JudgesOptions, judges
from mene.cli.notes import notes
from mene.cli.opening import downloading
from mene.cli.report import ReportOptions, report
from mene.cli.summary_shown import print_summary
from mene.cli.verdict_shown import print_verdict
from mene.criterion import load_criterion
from mene.events import Advance, Begin, Warn, on_stderr
from mene.judge.preset import load_preset, preset_names
from mene.runs.summary import Summary
from mene.runs.tables import Row, read_rows
from mene.sample import Sample
from mene.text.visible import to_stderr, visible
from mene.verdict import Verdict

NASTY = [
    "\x1b]0;title\x07", "\x1b[2J", "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "\x9b31m", "\x9d0;t\x9c", "a\rb", "a\x08b",
    "\u202egpj.exe", "\u2066x", "\u2028next", "a\nmene: all is well", "\U000e0041", "\ud83d", "\x7f", "\ufeffx",
]  # fmt: skip
MARKUP = [
    "[red]x[/red]",
    "[link=http://x]y[/link]",
    "[/]",
    "[/nope]",
    ":warning:",
    "{task.total}",
    "\\[b]",
]


def steers(text: str) -> bool:
    """Is there anything in it (beside line breaks) that a terminal would obey?"""
    return any(
        unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")
        for c in text.replace("\n", "").replace("\u200c", "").replace("\u200d", "")
    )


@given(st.text(st.characters(codec=None, categories=["Cc", "Cf", "Zl", "Zp", "Cs", "L", "So"])))
def test_what_is_made_visible_steers_nothing_and_means_the_same_in_json(text: str) -> None:
    assert not steers(visible(text))
    assert "\n" not in visible(text)
    assert not steers(visible(text, lines=True).replace("\t", ""))
    line = json.dumps({"a": text}, ensure_ascii=False)
    assert json.loads(visible(line)) == {"a": text}


@pytest.mark.parametrize("told", [say, lambda text: on_stderr(Warn(text)), to_stderr])
def test_without_a_standard_error_nothing_goes_among_the_results(told, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    told("a message")
    assert capsys.readouterr().out == ""


def test_every_control_and_format_character_is_known() -> None:
    for code in range(sys.maxunicode + 1):
        one = chr(code)
        if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp", "Cs") and code not in (
            0x200C,
            0x200D,
        ):
            assert not steers(visible(one)), hex(code)
    assert visible("日本 é 👩\u200d👧 می\u200cخواهم") == "日本 é 👩\u200d👧 می\u200cخواهم"


@pytest.mark.parametrize("text", NASTY + MARKUP)
def test_every_way_to_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen, errors = Screen(width=200), Screen(stderr=True, width=200)
    table = Table(title=plain(text), caption=plain(text))
    table.add_column(plain(text))
    table.add_row(plain(text))
    screen.print(table)
    screen.print(f"[bold]{plain(text)}[/bold] {text}")  # and one that nobody escaped
    warner(errors)(text)
    say(text)
    show(text)
    show_json({"id": text})
    verdict = Verdict(
        id=text, criterion=text, judge=text, label=text, confidence=0.5, critique=text
    )
    print_verdict(screen, verdict, first_words(Sample(response=text)))
    print_verdict(screen, Verdict(id=text, label="2", score=1.5, confidence=0.5, consistent=False))
    print_verdict(screen, Verdict(id=text, error=text))
    with Progress(words(), console=errors) as bar:
        bar.add_task(visible(text))
    printed = capsys.readouterr()
    assert not steers(printed.out)
    assert not steers(printed.err)
    # Only what is many lines by its nature may begin one: a prompt, or a string of our own.
    assert sum(line.startswith("mene:") for line in printed.out.splitlines()) <= 2
    if text in MARKUP:
        assert printed.out.count(text) >= 6
        assert text in printed.err


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_for_a_terminal(capsys, monkeypatch, terminal) -> None:
    """A file had its last frame, `⠋ faithfulness … 0/12`; a download began as `0/? bytes`."""
    monkeypatch.setattr(Screen, "is_terminal", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with downloading() as events:
        for event in (
            Begin("toy", 2_000_000),
            Advance("toy", 1_000_000),
            Advance("toy", 1_000_000),
        ):
            events(event)
    bar = progress_bar(spinner(), words(), console=Screen(stderr=True))
    with bar:
        bar.advance(bar.add_task("rows", total=2))
    said = capsys.readouterr().err
    assert "/?" not in said
    assert ("Downloading toy" in said, "rows" in said) == (terminal, terminal)
    assert terminal or not said


def test_lines_are_broken_between_words_on_a_terminal_alone(monkeypatch, capsys) -> None:
    text = "Note: " + "several words that are rather long " * 6 + "/a/path/that-stays-whole" * 4
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    monkeypatch.setattr(Screen, "is_terminal", True)
    for tell in (say, lambda line: warner(Screen(stderr=True, width=80))(line)):
        monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
        tell(text)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err).splitlines()
        assert len(lines) > 3
        assert all(line.strip() in text and len(line) <= 96 for line in lines)
        assert all(f" {line.split()[-1]} " in f"{text} " for line in lines[:3])
    monkeypatch.undo()
    for tell in (say, warner(Screen(stderr=True, width=80))):
        tell(text)
        assert capsys.readouterr().err == text + "\n"


def test_part_of_a_table_is_said_to_be_one(capsys) -> None:
    asked = load_criterion("tone")
    for of, said in ((12, "5 rows of 12: 5 judged"), (5, "5 rows: 5 judged"), (None, "5 rows: 5")):
        print_summary(Screen(), [(asked, Summary(rows=5, judged=5))], Told("nano"), None, of=of)  # type: ignore[arg-type]
        assert said in capsys.readouterr().out


def test_a_score_on_the_screen_says_what_each_number_is(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(width=200)
    print_verdict(screen, Verdict(id="7", label="1", score=2.26, confidence=0.32), "Dear Sir ...")
    print_verdict(screen, Verdict(id="8", label="Yes", confidence=0.9))
    print_verdict(screen, Verdict(id="9", label="4", score=4.0))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["7", "likeliest", "1", "(p=0.32),", "mean", "2.26", "Dear", "Sir", "..."],
        ["8", "Yes", "p=0.90"],
        ["9", "4"],
    ]


class Told:
    """A judge as far as the end of a run asks it."""

    def __init__(self, name: str) -> None:
        self.preset, self.name, self.mode = load_preset(name), name, "verdict"
        self.engine = SimpleNamespace(identity="openvino:0")

    @property
    def judges(self) -> tuple[Told]:
        return (self,)

    def alone(self, criterion: object) -> None:
        return None

    def unfit(self, criterion: object) -> str:
        return "no calibration"


def test_numbers_in_the_summary_cannot_be_taken_for_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = Summary(rows=10, judged=10, labels={"1": 1, "2": 9}, scores=[18.0, 10.0])  # type: ignore[arg-type]
    asked = load_criterion("tone")
    print_summary(Screen(width=200), [(asked, summary)], Told("nano"), None)  # type: ignore[arg-type]
    out = " ".join(capsys.readouterr().out.split())
    assert "labels 1: 1 row (10%), 2: 9 rows (90%)" in out
    assert "mean score 1.80 on the scale 1-5" in out


@pytest.mark.parametrize(
    ("judge", "criterion", "note"),
    [
        ("base", "faithfulness", "84 % of LLM-AggreFact"),
        ("base", "tone", "scores, refusals, and pairs made to mislead"),
        ("base", "Is it polite?", "has not been measured"),
        ("nano", "toxicity", "has not been measured"),
        ("nano-base", "Is it polite?", "near chance"),
    ],
)
def test_a_note_fits_the_question_and_is_said_once(judge, criterion, note, capsys) -> None:
    asked, told = load_criterion(criterion), Told(judge)
    assert [note in each for each in notes(told, asked, "none")] == [True]  # type: ignore[arg-type]
    for reused in (0, 3):
        summary = Summary(rows=10, judged=10 - reused, reused=reused)
        print_summary(Screen(width=300), [(asked, summary)], told, None)  # type: ignore[arg-type]
        assert (note in capsys.readouterr().out) is not reused


def test_no_reasons_where_nothing_fails_is_one_short_line() -> None:
    found = notes(Told("base"), load_criterion("preference"), "failing")  # type: ignore[arg-type]
    assert found[1:] == [
        "no reasons: preference has no failing label (--explain all gives all rows one)"
    ]
    assert len(notes(Told("base"), load_criterion("faithfulness"), "failing")) == 1  # type: ignore[arg-type]


def test_rows_of_one_id_get_nobodys_words() -> None:
    texts = FewWords()
    rows = [Row(i, "", Sample(id=id_, response=f"row {i}")) for i, id_ in enumerate("aba")]
    list(texts.noting([*rows, None, Row(3, "", None, "broken")]))
    assert [texts.of(Verdict(id=id_, label="x")) for id_ in "abc"] == ["", "row 1", ""]


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m mene criteria | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_verdict_for_a_reader_that_has_gone_ends_the_run(monkeypatch) -> None:
    end, other = os.pipe()
    os.close(end)
    with os.fdopen(other, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(ReaderGone):
            hand_on("{}")
        hand_on("{}")  # what comes after it is in nobody's way


def test_a_stream_takes_any_character(tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("name: größe\nquestion: 判 😀?\nscale: はい/いいえ\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mene", "criteria", "show", str(own)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gr\\u00f6\\u00dfe" in done.stdout
    line = json.dumps({"id": "é日😀"}, ensure_ascii=False)
    for encoding in ("ascii", "cp1252", "utf-8"):
        assert json.loads(line.encode(encoding, "visible").decode(encoding)) == {"id": "é日😀"}


def test_columns_and_verdicts_of_files_steer_nothing(tmp_path, capsys) -> None:
    table, verdicts = tmp_path / "t.csv", tmp_path / "v.jsonl"
    table.write_text("resp\x1b[31monse,\u202eid\nx,1\n", "utf-8")
    verdict = {
        "id": "i",
        "criterion": "c\x1b]0;t\x07",
        "judge": "j\x9b2J",
        "label": "Y",
        "key": "k",
    }
    verdicts.write_text(json.dumps(verdict) + "\n", "utf-8")
    report(ReportOptions(verdicts=verdicts))
    report(ReportOptions(verdicts=verdicts, json_=True))
    done = subprocess.run(
        [sys.executable, "-m", "mene", "judge", str(table), "-c", "tone"],
        capture_output=True,
        encoding="utf-8",
    )
    for printed in (capsys.readouterr().out, done.stderr):
        assert not steers(printed)
        assert "\\u001b" in printed


def test_it_is_said_once_which_column_was_read_as_which_field(tmp_path) -> None:
    table, told = tmp_path / "t.jsonl", []
    rows = [
        {"question": "q", "answer": "x", "context": "c"},
        {"question": "q", "answer": "", "output": "y"},
        {"instruction": "q", "answer": "z"},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = load_criterion("Is it polite?")
    texts = FewWords(told.append)
    found = list(texts.noting(read_rows(str(table), None, asked)))
    assert [row.sample.response for row in found if row and row.sample] == ["x", "y", "z", "r"]
    assert [text.removeprefix("Note: read ").split(" (")[0] for text in told] == [
        '"question" as instruction, "answer" as response',
        '"output" as response',
        '"messages" as instruction, "messages" as response',
    ]
    told.clear()
    names = {"instruction": "question", "response": "answer"}
    list(FewWords(told.append).noting(read_rows(str(table), names, asked)))
    assert told == []


def test_a_row_that_a_judge_cannot_judge_is_found_by_its_line(capsys) -> None:
    texts = FewWords()
    list(texts.noting([Row(4, "t.csv, line 7", Sample(id="a", response="x"))]))
    failed = Verdict(id="a", row=5, error="too long")
    print_verdict(Screen(width=200), failed, place=texts.place(failed))
    assert capsys.readouterr().out.split() == ["a", "error:", "t.csv,", "line", "7:", "too", "long"]
    read = Verdict(id="a", row=5, error="t.csv, line 7 (id a): broken")
    assert texts.place(read) == ""


@pytest.mark.parametrize(("width", "most"), [(40, 110), (80, 100), (200, 50)])
def test_the_list_of_judges_fits_a_screen_and_says_a_licence_once(
    width: int, most: int, monkeypatch, capsys
) -> None:
    """In a table of 40 columns the texts had 13 of them: 826 lines."""
    monkeypatch.setenv("COLUMNS", str(width))
    judges(JudgesOptions())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < most
    assert all(len(line) <= width for line in lines)
    starts = [
        n for n, line in enumerate(lines) if line[:1].strip() and line.split()[0] in preset_names()
    ]
    assert len(starts) == len(preset_names())
    for first, last in zip(starts, [*starts[1:], len(lines)], strict=True):
        words = " ".join(" ".join(lines[first:last]).split())
        for licence in ("CC-BY-NC", "Qwen Research License", "commercial", "Llama 3.1 Community"):
            assert words.count(licence) <= 1, words
