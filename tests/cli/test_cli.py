"""The commands, end to end: the real small model, real rows, a real process where it matters."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from halting import Server

from mene.cli.app import app
from mene.errors import UsageError

pytestmark = pytest.mark.usefixtures("opened_once")

EXAMPLES = Path(__file__).parents[2] / "examples"
MENE = [sys.executable, "-m", "mene"]


def mene(*arguments: str, stdin: str | None = None, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MENE, *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        **{"timeout": 300, **more},
    )


@pytest.fixture(scope="module")
def pairs(bench_data, tmp_path_factory, small_model) -> Path:
    """12 real pairs, short ones."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    with gzip.open(bench_data / "hhh_alignment.jsonl.gz", "rt", encoding="utf-8") as file:
        path.write_text("".join(sorted(file, key=len)[:12]))
    return path


@pytest.fixture
def answered(toy, monkeypatch) -> None:
    """Commands that run ``here`` are answered at once: for tests of what lies around a model."""
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: toy)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def asked(path: Path) -> list[dict]:
    """What must be equal between two runs: everything but times and what was cached."""
    kept = []
    for line in lines(path):
        line.pop("latency_s")
        line.pop("usage")
        for part in line.get("parts", []):
            part.pop("latency_s")
            part.pop("usage")
        kept.append(line)
    return kept


def test_judge_writes_verdicts_critiques_and_a_summary(tmp_path, small_model) -> None:
    out = tmp_path / "out.jsonl"
    done = mene(
        "judge",
        EXAMPLES / "rag.jsonl",
        "-c",
        "faithfulness",
        "-j",
        "nano-base",
        "-o",
        out,
        "--limit",
        "3",
        "--critique-tokens",
        "12",
    )
    assert done.returncode == 0, done.stderr
    verdicts = lines(out)
    assert len(verdicts) == 3
    for verdict in verdicts:
        assert verdict["label"] in ("Yes", "No")
        assert sum(verdict["probabilities"].values()) == pytest.approx(1)
        assert verdict["confidence"] == max(verdict["probabilities"].values())
        assert verdict["error"] is None
        assert verdict["usage"]["prompt_tokens"] > 100
    assert "p=0." in done.stdout
    assert "judgements/s" in done.stderr
    assert "docs/bench.md" in " ".join(done.stderr.split())


def test_reasons_come_behind_the_verdicts_and_nothing_is_judged_twice(
    here, tmp_path, small_model
) -> None:
    out = tmp_path / "out.jsonl"
    command = [
        "judge",
        EXAMPLES / "rag.jsonl",
        "-c",
        "faithfulness",
        "-j",
        "nano-base",
        "-m",
        "verdict",
    ]
    command += ["--limit", "5", "--critique-tokens", "16"]
    pipe = [*command, "-o", "-"]
    command += ["-o", out, "--json"]
    first = json.loads(here(*command).stdout)
    assert (first["judged"], first["explained"]) == (5, 0)
    before = lines(out)
    done = here(*command, "--explain", "all", "--explain-rows", "3")
    summary = json.loads(done.stdout)
    assert (summary["judged"], summary["reused"]) == (0, 5), done.stderr
    assert (summary["explained"], summary["unexplained"]) == (3, 2)
    after = lines(out)
    assert [v["id"] for v in after] == [v["id"] for v in before]
    assert [bool(v["critique"]) for v in after] == [True] * 3 + [False] * 2
    for old, new in zip(before, after, strict=True):
        assert (old["label"], old["probabilities"], old["key"]) == (
            new["label"],
            new["probabilities"],
            new["key"],
        )
    again = json.loads(here(*command, "--explain", "all", "--explain-rows", "3").stdout)
    assert again["tokens"]["written"] == 0
    piped = here(*pipe, "--explain", "all", "--explain-rows", "1")
    rows = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [row["id"] for row in rows] == [v["id"] for v in before]
    assert [row["id"] for row in rows if row["critique"]] == [before[0]["id"]]


def test_pairs_verdict_mode_and_report(here, pairs, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    asked = ("judge", pairs, "-c", "preference", "--compare", "pointwise", "-m", "verdict")
    command = (*asked, "-o", out, "--json")
    done = here(*command)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["judged"] == summary["rows"] == 12
    assert (summary["both_orders"], summary["pointwise"]) == (0, 12)  # no order can differ
    assert [v["id"] for v in lines(out)] == [row["id"] for row in lines(pairs)]
    again = json.loads(here(*command).stdout)
    assert (again["judged"], again["reused"], again["labels"]) == (0, 12, summary["labels"])
    report = here("report", out, "--data", pairs, "--json")
    assert report.returncode == 0, report.stderr
    accuracy = json.loads(report.stdout)[0]["agreement"]["accuracy"]
    gold = {row["id"]: row["label"] for row in lines(pairs)}
    assert accuracy["value"] == pytest.approx(
        sum(v["label"] == gold[v["id"]] for v in lines(out)) / 12
    )
    page = out.with_suffix(".html").read_text()
    assert "<html" in page
    assert "preference" in page
    assert "each response judged alone" in page


@pytest.mark.posix
def test_killed_again_and_again_it_ends_as_if_never_killed(here, tmp_path) -> None:
    rows, whole, broken = (
        tmp_path / name for name in ("rows.jsonl", "whole.jsonl", "broken.jsonl")
    )
    rows.write_text("".join(json.dumps({"response": f"Hello, {n}!"}) + "\n" for n in range(40)))
    order = random.Random(7)
    # It falls silent before a run is at its end, so that none ends before it is killed.
    server = Server(lambda text: f"**Result:** {1 + sum(text.encode()) % 5}")
    command = ["judge", rows, "-c", "tone", "-m", "verdict", "-j", server.spec, "-q", "-o"]
    server.begin(1000)
    assert here(*command, whole).returncode == 0
    for _ in range(4):
        before = broken.read_bytes().count(b"\n") if broken.exists() else 0
        server.begin(order.randint(5, 9))
        process = subprocess.Popen([*MENE, *map(str, command), str(broken)])
        wanted = before + order.randint(1, 5)
        while not broken.exists() or broken.read_bytes().count(b"\n") < wanted:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(order.random() * 0.1)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert 4 <= broken.read_bytes().count(b"\n") < 40
    server.begin(1000)
    assert here(*command, broken).returncode == 0
    server.end()
    assert asked(broken) == asked(whole)


@pytest.mark.posix
def test_ctrl_c_keeps_what_is_done(here, pairs, tmp_path) -> None:
    many, out, whole = (tmp_path / name for name in ("many.jsonl", "out.jsonl", "whole.jsonl"))
    rows = [row | {"id": f"{n}-{row['id']}"} for n in range(40) for row in lines(pairs)]
    many.write_text(
        "".join(json.dumps(row) + "\n" for row in rows)
    )  # it will not come to their end
    command = ["judge", many, "-c", "preference", "-m", "verdict"]
    process = subprocess.Popen(
        [*MENE, *map(str, command), "-o", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not out.exists() or out.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "run the same command again to continue" in errors
    assert "Traceback" not in errors
    kept = {row["id"] for row in lines(out)}
    assert 2 <= len(kept) < len(rows)
    again = json.loads(here(*command, "--limit", 12, "-o", out, "--json").stdout)
    assert again["reused"] == len(kept & {row["id"] for row in rows[:12]})
    assert again["judged"] == 12 - again["reused"]
    assert here(*command, "--limit", 12, "-o", whole).returncode == 0
    found = {row["id"]: row for row in lines(out)}
    for row in lines(whole):
        assert found[row["id"]]["label"] == row["label"]
        assert found[row["id"]]["probabilities"] == pytest.approx(row["probabilities"], abs=1e-4)


def test_a_second_process_on_the_same_file_is_refused(pairs, tmp_path) -> None:
    from mene.runs.ledger import Ledger

    out = tmp_path / "out.jsonl"
    with Ledger(out, "j", "c"):
        done = mene("judge", pairs, "-c", "preference", "-m", "verdict", "-o", out)
    assert done.returncode == 2
    assert "another mene process" in done.stderr


def test_changed_settings_never_reuse_a_verdict(here, answered, pairs, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    base = [
        "judge",
        pairs,
        "-c",
        "preference",
        "-m",
        "verdict",
        "--limit",
        "3",
        "-o",
        out,
        "--json",
    ]
    assert json.loads(here(*base).stdout)["judged"] == 3
    assert json.loads(here(*base, "-t", "selene").stdout)["reused"] == 0
    assert json.loads(here(*base, "-t", "selene").stdout)["reused"] == 3
    assert [line.get("earlier", False) for line in lines(out)] == [True] * 3 + [False] * 3
    assert json.loads(here(*base).stdout)["reused"] == 3  # and back


def test_standard_input_to_standard_output(small_model) -> None:
    row = {"user_input": "2+2?", "response": "4", "reference": "4"}
    done = mene(
        "judge", "-", "-c", "correctness", "-m", "verdict", "-o", "-", stdin=json.dumps(row)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("Yes", "No")


def test_a_slow_pipe_gets_each_verdict_before_the_next_row(small_model) -> None:
    command = [*MENE, "judge", "-", "-c", "tone", "-m", "verdict", "-q", "-o", "-"]
    row = json.dumps({"instruction": "Greet me.", "response": "Hello, dear friend."}) + "\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(3):
            process.stdin.write(row)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())[
                "label"
            ]  # stands still if it waits for more
        process.stdin.close()
        assert process.wait(300) == 0


def test_a_jury_with_a_wrong_name_ends_at_once(here) -> None:
    done = here("judge", EXAMPLES / "rag.jsonl", "-c", "tone", "--jury", "nano,nope")
    assert done.returncode == 2
    assert 'no judge "nope"' in done.stderr


def test_report_says_when_the_table_is_another(here, tmp_path) -> None:
    verdict = {"id": "x", "criterion": "tone", "judge": "j", "label": "3", "key": "k"}
    (tmp_path / "v.jsonl").write_text(json.dumps(verdict) + "\n")
    (tmp_path / "d.jsonl").write_text('{"id": "y", "response": "Hi", "label": 3}\nnot JSON\n')
    done = here("report", tmp_path / "v.jsonl", "--data", tmp_path / "d.jsonl")
    assert done.returncode == 0
    assert "texts and ids differ" in done.stderr
    assert "1 row cannot be read" in done.stderr


def test_bad_rows_are_named_and_the_exit_code_is_1(here, answered, tmp_path) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    good = '{"id": "x", "response": "fine"}\n'
    also = '{"id": "x", "response": "fine", "context": "All is fine."}\n'
    path.write_text(good + '{"response": \n' + '{"instruction": "no response"}\n' + also)
    several = ("-c", "Is it polite?", "-c", "faithfulness")
    done = here("judge", path, *several, "-m", "verdict", "-o", out)
    assert done.returncode == 1
    verdicts = lines(out)
    assert [v["error"] is None for v in verdicts] == [True, False] + [False] * 4 + [True, True]
    assert f"{path}, line 2: broken JSON" in verdicts[2]["error"]
    assert 'field "response"' in verdicts[4]["error"]
    assert '"context" is missing' in verdicts[1]["error"]
    table = here("table", out).stdout.splitlines()
    assert len(table) == 5
    assert table[0].startswith("row,id,judge,is-it-polite_label,is-it-polite_score,")
    assert "1 row has the id of an earlier row" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judge", "nowhere.jsonl", "-c", "faithfulness"], "no such file"),
        (["judge", "{examples}/rag.jsonl", "-c", "faithfulnes"], 'did you mean "faithfulness"'),
        (["judge", "{examples}/rag.jsonl", "-c", "faithfulness", "-j", "nanoo"], 'did you mean "nano"'),
        (["judge", "{examples}/rag.jsonl", "-c", "faithfulness", "--compare", "together"], "--compare is for pairs"),
        (["judge", "{examples}/rag.jsonl", "-c", "x y", "-s", "good"], "cannot read scale"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--map", "respons=a"], 'did you mean "response"'),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-o", "{examples}/rag.jsonl"], "is the input itself"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-j", "llamacpp:/none.gguf"], "no such model file"),
        (["judge", "{tmp}/a.csv", "-c", "faithfulness"], 'no column for "context"'),
        (["judge", "{tmp}/de.csv", "-c", "faithfulness"], 'for "context" and "response", which faithfulness needs; the columns are frage, kontext, antwort; say which they are with --map context=COLUMN --map response=COLUMN'),
        (["judge", "{tmp}/a.csv", "-c", "tone", "--map", "antwort=response"], "the fields are instruction, response, response_a, response_b, context, reference, label, id"),
        (["judge", "{tmp}/a.csv", "-c", "tone", "--map", "response=respons"], 'no column "respons" (--map response=respons); did you mean "response"'),
        (["judge", "{tmp}/a.csv", "-c", "{tmp}/typos.yaml"], 'did you mean "{tmp}/typo.yaml"'),
        (["judge", "{tmp}/a.csv", "-c", "tone", "-t", "{tmp}/b.jinja"], "cannot read the template: No such file"),
        (["report", "{tmp}/emty.jsonl"], 'did you mean "{tmp}/empty.jsonl"'),
        (["judge", "{tmp}/empty.jsonl", "-c", "tone"], "is empty"),
        (["judge", "{tmp}/a.csv", "-c", "{tmp}/typo.yaml"], 'unknown key "lables"; did you mean "labels"'),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--explain", "all"], "trained to give labels only"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--explain", "some"], "it is failing, uncertain, all or none"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--explain", "none", "--reconsider"], "asks for none"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-j", "base", "-m", "critique", "--explain", "all"], "before its label"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--jury", "nano,nano-base", "--explain", "all"], "a jury writes no critiques"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--jury", "nano,nano-base", "-j", "nano"], "give one of the two"),
        (["judge", "{examples}/rags.jsonl", "-c", "tone"], 'did you mean "{examples}/rag.jsonl"'),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-t", "{tmp}/typo.yaml"], "ends in .jinja"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-t", "{tmp}/a.jinja"], "a.jinja, line 2: include"),
        (["prompt", "{examples}/rag.jsonl", "-c", "tone", "-c", "safety"], "--criterion is given 2 times: run the command once for each"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-c", "tone"], "tone is given twice"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-c", "tonne"], 'did you mean "tone"'),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-c", "preference"], "preference needs"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-o", "-", "--wide", "{tmp}/w.csv"], "pipe it into `mene table -`"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--wide", "{tmp}/w.xls"], "a table is .csv, .parquet or .jsonl"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--limit", "3", "--limit", "4"], "--limit is given 2 times"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-j", "nano", "-m", "critique"], "trained to give labels only"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "-j", "nano", "--samples", "3"], "trained to give labels only"),
        (["judge", "{examples}/rag.jsonl", "-c", "tone", "--map", "response=a", "--map", "response=q"], "--map: response is given two values; leave one"),
        (["report", "{tmp}/none.jsonl"], "cannot read"),
        (["criteria", "show", "tona"], 'did you mean "tone"'),
        (["pull", "gpt-4o-mini"], "runs on a server"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_clear_line(here, tmp_path, arguments, message) -> None:
    (tmp_path / "a.csv").write_text("question,response\nq,r\n")
    (tmp_path / "de.csv").write_text("frage,kontext,antwort\nq,k,a\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "typo.yaml").write_text("question: good?\nscale: 1-5\nlables: {}\n")
    (tmp_path / "a.jinja").write_text("first\n{% include 'b' %}")
    done = here(*[a.format(examples=EXAMPLES, tmp=tmp_path) for a in arguments])
    message = message.format(examples=EXAMPLES, tmp=tmp_path)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("mene: ")]) == 1


def test_a_reader_that_goes_is_no_failure() -> None:
    """`mene criteria | head -1` ended with 1."""
    with subprocess.Popen(
        [*MENE, "criteria"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(300) == 0


def test_a_typo_beside_overwrite_costs_no_verdict(here, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    line = '{"id": "x", "criterion": "tone", "judge": "nano", "label": "3", "key": "k"}\n'
    out.write_text(line)
    done = here(
        "judge", EXAMPLES / "rag.jsonl", "-c", "tone", "-j", "nanoo", "-o", out, "--overwrite"
    )
    assert done.returncode == 2
    assert out.read_text() == line


def test_offline_without_the_model_says_what_to_run(here, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "new"))
    monkeypatch.setenv("MENE_PYPI_INDEX", "http://127.0.0.1:9")
    done = here("judge", EXAMPLES / "rag.jsonl", "-c", "tone", "-o", tmp_path / "o.jsonl")
    assert done.returncode == 2
    assert "run `mene pull nano`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.posix
def test_a_disk_that_fills_up_keeps_the_verdicts(here, pairs, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    limit = "import resource,runpy,sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
    script = (
        limit + "sys.argv=['mene',*sys.argv[1:]]; runpy.run_module('mene', run_name='__main__')"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "judge",
            str(pairs),
            "-c",
            "preference",
            "-m",
            "verdict",
            "-o",
            str(out),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2
    assert "free disk space and run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    kept = len(lines(out))
    assert kept >= 1
    finished = json.loads(
        here("judge", pairs, "-c", "preference", "-m", "verdict", "-o", out, "--json").stdout
    )
    assert (finished["reused"], finished["judged"]) == (kept, 12 - kept)


def test_prompt_prints_what_the_model_reads(here, small_model) -> None:
    done = here("prompt", EXAMPLES / "rag.jsonl", "-c", "faithfulness", "-j", "nano-base")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<|im_start|>")
    assert done.stdout.rstrip().endswith("**Reasoning:**")
    assert "tokens" in done.stderr


def test_the_prompt_of_a_pair_asked_apart_says_so(here, tmp_path: Path, small_model: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        '{"instruction": "Name a fruit.", "response_a": "An apple.", "response_b": "No."}'
    )
    done = here("prompt", pairs, "-c", "preference")
    assert "An apple." in done.stdout
    assert "No." not in done.stdout
    assert "response B is also judged alone" in done.stderr
    whole = here("prompt", pairs, "-c", "preference", "--judge", "nano-base")
    assert "No." in whole.stdout
    assert "judged alone" not in whole.stderr


def test_lists(here) -> None:
    names = [c["name"] for c in json.loads(here("criteria", "--json").stdout)]
    assert {"faithfulness", "correctness", "preference", "toxicity"} <= set(names)
    assert "faithfulness" in here("criteria").stdout
    assert "nano" in here("judges").stdout
    assert mene("--version").stdout.startswith("mene ")


def test_a_shown_criterion_can_be_copied_and_used(here, answered, tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(here("criteria", "show", "tone").stdout.replace("1-5", "1-5"))
    row = tmp_path / "row.csv"
    row.write_text("output\nThank you so much!\n")
    done = here("judge", row, "-c", own, "-m", "verdict", "-o", tmp_path / "o.jsonl")
    assert done.returncode == 0, done.stderr
    assert 1 <= lines(tmp_path / "o.jsonl")[0]["score"] <= 5


def test_help_is_quick_and_imports_are_light() -> None:
    script = "import sys, mene; bad = {'torch', 'polars', 'xllamacpp', 'pydantic', 'openai'} & set(sys.modules); sys.exit(bool(bad))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert "judge" in mene("--help").stdout


# What a shell makes of an empty variable, with and without quotes.
NO_VALUE = [
    (["judge", "x.jsonl", "-c", "tone", "--judge", "--abstain"], "--judge has no value: --abstain is an option"),
    (["judge", "x.jsonl", "-c", "tone", "-j", "--limit=3"], "--judge has no value: --limit=3 is an option"),
    (["judge", "x.jsonl", "-c", "-q"], "--criterion has no value: -q is an option"),
    (["judge", "x.jsonl", "-c", "tone", "--map", "id=a", "--map", "--compare"], "--map has no value"),
    (["judge", "x.jsonl", "-c", "tone", "--judge", ""], "--judge has no value; is a variable"),
    (["prompt", "x.jsonl", "-c", "tone", "--judge", "--help"], "--judge has no value: --help"),
    (["bench", "--data", "--dry-run"], "--data has no value: --dry-run is an option"),
    (["curate", "nano", "--teacher="], "--teacher has no value"),
    (["train", "nano", "--device", "--plan"], "--device has no value: --plan is an option"),
    (["judge", "x.jsonl"], "no criterion to judge by: add one with -c, a name from the list that `mene criteria`"),
    (["prompt", "x.jsonl"], "`mene criteria`"),
    (["align", "x.jsonl", "--json"], "`mene criteria`"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), NO_VALUE)
def test_an_option_without_its_value_says_so(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        app(arguments, standalone_mode=False)
    assert said in str(caught.value)


def test_a_dash_and_words_that_begin_with_one_are_values() -> None:
    command = typer.main.get_command(app).commands["judge"]
    line = ["x.jsonl", "-c", "- is it a list?", "-o", "-", "--judge", "--unknown"]
    assert command.make_context("judge", line).params["output"] == "-"
    with pytest.raises(SystemExit, match="0"):
        app(["judge", "--help"])
