"""``mene gate``, ``mene compare`` and ``mene judge --gate``: what they say, write and return."""

from __future__ import annotations

import io
import json
import sys
from xml.etree import ElementTree

import pytest

from mene.engines.base import Completion
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.runs.parts.manifest import Manifest, Part, save
from mene.runs.parts.part import write_part
from mene.runs.read_ledger import read_verdicts
from mene.verdict import Verdict

PRESET = load_preset("openai:toy@http://localhost").model_copy(
    update={"mode": "verdict", "name": "toy"}
)


def line(
    number: int, label: str | None, criterion: str = "faithfulness", judge: str = "nano"
) -> str:
    other = {"Yes": "No", "No": "Yes"}.get(label or "")
    odds = {k: 0.9 if k == label else 0.1 for k in ("Yes", "No")} if other else None
    return Verdict(
        id=f"r{number}", row=number + 1, content=f"t{number}", key=f"{number:032x}", criterion=criterion, judge=judge,
        label=label, probabilities=odds, error=None if label else "too long",
    ).to_json()  # fmt: skip


def ledger(path, *labels: str | None, **more):
    path.write_text("".join(line(n, label, **more) + "\n" for n, label in enumerate(labels)))
    return path


@pytest.fixture
def good(tmp_path):
    return ledger(tmp_path / "good.jsonl", *["Yes"] * 190, *["No"] * 10)


@pytest.fixture
def bad(tmp_path):
    return ledger(tmp_path / "bad.jsonl", *["No"] * 40, *["Yes"] * 150, *["No"] * 10)


def test_exit_codes(here, good) -> None:
    for rule, code, outcome in (
        ("share(Yes) >= 0.9", 0, "pass"), ("share(Yes) >= 0.99", 3, "fail"), ("share(Yes) >= 0.95", 4, "cannot tell"),
    ):  # fmt: skip
        done = here("gate", good, "--rule", f"faithfulness: {rule}")
        assert done.returncode == code and f"gate: {outcome} (" in done.stdout
        assert f"{outcome:<11} {rule}: 95.0 % [91.0, 97.4], n = 200" in done.stdout
    near = ("gate", good, "--rule", "faithfulness: share(Yes) >= 0.95", "--cannot-tell")
    assert here(*near, "pass").returncode == 0 and here(*near, "fail").returncode == 3
    assert here(*near, "maybe").returncode == 2
    assert here("gate", good).returncode == 2
    assert (
        "gate: pass"
        in here("gate", good, "--rule", "*: share(Yes) >= 0.9", "-q").stdout.splitlines()[0]
    )


def test_a_file_of_rules_and_its_outputs(here, good, bad, tmp_path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  faithfulness: [share(Yes) >= 0.5, no drop over 0.02 against good.jsonl]\nconfidence: 0.99\n"
    )
    done = here(
        "gate", bad, rules, "--junit", tmp_path / "j.xml", "--markdown", tmp_path / "c.md", "--json"
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["confidence"]) == (3, "fail", 0.99)
    assert [one["outcome"] for one in found["rules"]] == ["pass", "fail", "pass"]
    assert found["rules"][1]["value"] == pytest.approx(-0.2)
    assert ElementTree.parse(tmp_path / "j.xml").getroot()[0].get("failures") == "1"
    assert "### ❌ mene gate: failed" in (tmp_path / "c.md").read_text("utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("faithfulness:\n  - share(Yes) >= 95\n")
    assert "wrong.yaml, line 2: faithfulness: character 15 of" in here("gate", bad, wrong).stderr


def test_github_is_told(here, bad, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = here("gate", bad, "--rule", "faithfulness: share(Yes) >= 0.9")
    assert "::error title=faithfulness%3A fail::share(Yes) >= 0.9: 75.0 %25 [" in done.stdout
    assert "mene gate: failed" in (tmp_path / "summary.md").read_text("utf-8")
    assert "::" not in here("gate", bad, "--rule", "*: share(Yes) >= 0.9", "--json").stdout


def test_verdicts_from_a_pipe(here, good, monkeypatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(good.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert here("gate", "-", "--rule", "faithfulness: share(Yes) >= 0.9").returncode == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}\n")))
    assert (
        "standard input, line 1: not a verdict"
        in here("gate", "-", "--rule", "*: count >= 1").stderr
    )


def test_of_a_piped_ledger_the_last_line_of_a_row_counts(here, tmp_path, monkeypatch) -> None:
    later = json.loads(line(0, "Yes")) | {"revision": 1}
    earlier = json.loads(line(7, "No")) | {"earlier": True}
    lines = [line(0, "No"), line(1, "Yes"), json.dumps(earlier), json.dumps(later)]
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(f"{x}\n" for x in lines).encode()))
    )
    done = here("gate", "-", "--rule", "*: count >= 2", "--json")
    (rule, _) = json.loads(done.stdout)["rules"]
    assert (rule["value"], rule["rows"]) == (2, 2)
    assert "standard input: 1 of its verdicts are not counted" in done.stderr


def test_a_line_that_was_cut_off_is_told(here, good, tmp_path) -> None:
    cut = tmp_path / "cut.verdicts.jsonl"
    cut.write_bytes(good.read_bytes()[:-20])
    done = here("gate", cut, "--rule", "*: count >= 2")
    assert done.returncode == 0
    assert "cut.verdicts.jsonl: its last line is incomplete and does not count" in done.stderr


@pytest.mark.parametrize(("said", "counts", "code"), [("pass", "passed", 0), ("fail", "failed", 3)])
def test_what_undecided_rules_count_as_is_told(
    here, tmp_path, said: str, counts: str, code: int
) -> None:
    few = tmp_path / "few.verdicts.jsonl"
    few.write_text("".join(f"{line(row, label)}\n" for row, label in enumerate(["Yes", "No"])))
    rule = ("gate", few, "--rule", "*: share(Yes) >= 0.5", "--cannot-tell", said)
    done = here(*rule, "--markdown", "-")
    assert done.returncode == code
    assert f"Undecided counts as {counts} (--cannot-tell {said})." in done.stdout
    assert f"1 undecided, which counts as {counts} (--cannot-tell {said})" in done.stderr
    assert json.loads(here(*rule, "--json").stdout)["cannot_tell_counts_as"] == said


def test_only_one_thing_goes_to_standard_output(here, good) -> None:
    rule = ("gate", good, "--rule", "*: count >= 2")
    done = here(*rule, "--junit", "-")
    assert ElementTree.fromstring(done.stdout).tag == "testsuites" and "gate: pass" in done.stderr
    done = here(*rule, "--junit", "-", "--json")
    assert (done.returncode, "--json and --junit cannot both" in done.stderr) == (2, True)


def test_a_folder_of_parts_is_gated_and_compared_like_a_file(here, good, tmp_path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    size = write_part(str(folder / "part-0.jsonl"), list(read_verdicts(good)), "jsonl")
    part = Part(name="part-0.jsonl", file=0, first=0, rows=200, mark="m", size=size)
    save(
        str(folder),
        Manifest(
            mene="1",
            judge="nano",
            criteria={"faithfulness": ""},
            run="r",
            files=["t"],
            rows=[200],
            parts=[part],
        ),
    )
    assert here("gate", folder, "--rule", "*: share(Yes) >= 0.9").returncode == 0
    assert "No difference is shown" in here("compare", folder, good).stdout
    assert here("table", folder).stdout.count("\n") == 201


def test_one_judge_of_several(here, good, tmp_path) -> None:
    both = tmp_path / "both.jsonl"
    both.write_text(
        good.read_text() + "".join(line(n, "No", judge="base") + "\n" for n in range(50))
    )
    rule = ("--rule", "faithfulness: share(Yes) >= 0.9")
    assert here("gate", both, *rule).returncode == 3
    assert here("gate", both, *rule, "-j", "nano").returncode == 0
    assert "no verdict by bass" in here("gate", both, *rule, "-j", "bass").stderr


def test_compare(here, good, bad, tmp_path) -> None:
    page = tmp_path / "page.html"
    done = here("compare", good, bad, "-o", page, "--show", 2)
    assert (
        done.returncode == 0
        and "bad.jsonl is worse than good.jsonl: share(Yes) −20.0 points [" in done.stdout
    )
    assert (
        "rows     0 better, 40 worse, 160 as good" in done.stdout
        and "labels   Yes to No: 40" in done.stdout
    )
    assert done.stdout.count("Yes to No (-0.80)") == 2 and "mene compare" in page.read_text("utf-8")
    found = json.loads(here("compare", good, bad, "--json").stdout)["criteria"][0]
    assert (found["losses"], found["matched"]["rows"], len(found["rows"])) == (40, 200, 40)
    assert found["difference"]["high"] < 0 and found["p_holm"] < 1e-6
    for wrong in (("--match", "name"), ("--match", "instruction"), ("-o", good), ("-c", "ton")):
        assert here("compare", good, bad, *wrong).returncode == 2
    assert "is compared with itself" in here("compare", good, good).stderr


def test_compare_by_instruction_with_texts(here, tmp_path) -> None:
    for name, ids in (("a", "123456"), ("b", "uvwxyz")):
        rows = [
            {"id": i, "instruction": f"question {n}", "response": f"{name}{n}", "context": "c"}
            for n, i in enumerate(ids)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / f"{name}.verdicts.jsonl").write_text("".join(
            json.dumps(json.loads(line(n, "Yes" if n or name == "a" else "No")) | {"id": i, "content": _content(rows[n])}) + "\n"
            for n, i in enumerate(ids)
        ))  # fmt: skip
    run = ("compare", tmp_path / "a.verdicts.jsonl", tmp_path / "b.verdicts.jsonl")
    assert "no row of one run is in the other" in here(*run).stderr
    tables = ("--data-a", tmp_path / "a.jsonl", "--data-b", tmp_path / "b.jsonl")
    done = here(*run, "--match", "instruction", *tables)
    assert done.returncode == 0 and "0 better, 1 worse, 5 as good" in done.stdout
    assert "1: Yes to No (-0.80)  b0" in done.stdout


def _content(row: dict[str, str]) -> str:
    from mene.sample import Sample

    return Sample.model_validate(row).content


class Says:
    """An engine that says Yes to a response with ``good`` in it, and fails on ``broken``."""

    identity, context, control_tokens = "says:1", 100_000, frozenset()

    def __init__(self) -> None:
        self.asked = 0

    def run(self, requests, stop=None):
        from mene.errors import EngineError

        for request in requests:
            if request is None:
                continue
            self.asked += 1
            text = request.messages[-1].content
            if "broken" in text:
                yield Completion(request.index, error=EngineError("no answer; try again"))
                continue
            label = "Yes" if "good answer" in text else "No"
            odds = {k: 0.9 if k == label else 0.1 for k in request.labels}
            yield Completion(request.index, label=label, probabilities=odds)

    def prompt(self, request) -> str:
        return request.messages[-1].content

    def count(self, request) -> int:
        return 10

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch) -> Says:
    says = Says()
    monkeypatch.setattr(
        "mene.cli.judge.open_judge", lambda specs, settings: Judge(PRESET, engine=says)
    )
    monkeypatch.setattr(
        "mene.cli.judge_options.judge_named", lambda given: "openai:toy@http://localhost"
    )
    return says


def table(path, *responses: str):
    rows = [{"instruction": f"q{n}", "response": f"{text} {n}"} for n, text in enumerate(responses)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_judge_and_gate_in_one(here, tmp_path, engine, monkeypatch) -> None:
    rows = table(tmp_path / "rows.jsonl", *["good answer"] * 90, *["poor"] * 10)
    run = ("judge", rows, "-c", "Is it good?", "-q", "--rule")
    done = here(*run, "Is it good?: share(Yes) >= 0.8")
    assert done.returncode == 0 and "gate: pass (2 passed)" in done.stdout, done.stderr
    done = here(*run, "Is it good?: share(Yes) >= 0.99", "--junit", tmp_path / "j.xml")
    assert done.returncode == 3 and engine.asked == 100 and (tmp_path / "j.xml").exists()
    found = json.loads(here(*run, "Is it good?: share(Yes) >= 0.9", "--json").stdout)
    assert found["reused"] == 100 and found["gate"]["outcome"] == "cannot tell"
    lines = here(*run, "Is it good?: share(Yes) >= 0.8", "-o", "-")
    assert (
        lines.returncode == 0
        and len(lines.stdout.splitlines()) == 100
        and "gate: pass" in lines.stderr
    )


def test_a_pipe_of_verdicts_holds_nothing_else(here, tmp_path, engine) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text('{"context": "c", "response": "good answer"}\n')
    asked = ("judge", table, "-c", "faithfulness", "-j", "toy", "-o", "-", "--json")
    done = here(*asked, "-q", "--rule", "*: count >= 1")
    (verdict,) = done.stdout.splitlines()
    assert json.loads(verdict)["label"] == "Yes"
    summary = json.loads(next(x for x in done.stderr.splitlines() if x.startswith("{")))
    assert (summary["judged"], summary["gate"]["outcome"]) == (1, "pass")
    done = here(*asked, "--rule", "*: count >= 1", "--junit", "-")
    assert (done.returncode, "--output and --junit cannot both" in done.stderr) == (2, True)


def test_rules_that_do_not_fit_cost_no_time(here, tmp_path, engine) -> None:
    rows = table(tmp_path / "rows.jsonl", "good answer")
    run = ("judge", rows, "-c", "Is it good?")
    for more, said in (
        (("--rule", "Is it good?: share(Yess) >= 0.8"), 'did you mean "Yes"'),
        (("--rule", "tone: share(Yes) >= 0.8"), 'no verdict on "tone"'),
        (("--rule", "*: no drop against nowhere.jsonl"), "nowhere.jsonl: cannot read"),
        (("--stop-when-decided",), "--stop-when-decided goes with rules"),
        (("--junit", "x.xml"), "--junit goes with rules"),
        (("--gate", tmp_path / "no.yaml"), "cannot read the rules"),
    ):
        done = here(*run, *more)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not engine.asked


def test_rows_that_fail_fail_the_gate_and_their_share_may_be_allowed(
    here, tmp_path, engine
) -> None:
    rows = table(tmp_path / "rows.jsonl", *["good answer"] * 90, *["broken"] * 10)
    run = ("judge", rows, "-c", "Is it good?", "-q", "--rule", "*: share(Yes) >= 0.8")
    done = here(*run)
    assert (
        done.returncode == 3
        and "errors <= 1 %: 10 of 100 rows without a verdict; usual rule" in done.stdout
    )
    assert "gate: fail (1 passed, 1 failed)" in done.stdout
    assert here(*run, "--rule", "*: errors <= 0.2").returncode == 0


def test_a_run_stops_when_its_gate_is_decided(here, tmp_path, engine) -> None:
    rows = table(tmp_path / "rows.jsonl", *["good answer"] * 200, *["poor"] * 200)
    rule = ("--rule", "*: share(Yes) >= 0.9", "--stop-when-decided")
    run = ("judge", rows, "-c", "Is it good?", *rule)
    done = here(*run, "--show", 0)
    kept = list(read_verdicts(tmp_path / "rows.verdicts.jsonl"))
    assert done.returncode == 3 and engine.asked == len(kept) < 100
    # In the order of the table all rows would be good for long.
    assert {v.label for v in kept} == {"Yes", "No"} and [v.row for v in kept] == sorted(
        v.row or 0 for v in kept
    )
    assert "; decided after " in done.stdout
    assert here(*run, "--reconsider").returncode == 2


def test_against_the_verdicts_that_this_run_replaces(here, tmp_path, engine) -> None:
    """The baseline is read before the run writes to it."""
    rows = table(tmp_path / "rows.jsonl", *["good answer"] * 100)
    run = ("judge", rows, "-c", "Is it good?", "-q")
    assert here(*run).returncode == 0
    table(tmp_path / "rows.jsonl", *["good answer"] * 70, *["poor"] * 30)
    done = here(*run, "--rule", f"*: no drop against {tmp_path / 'rows.verdicts.jsonl'}")
    assert done.returncode == 3 and "−30.0 points [" in done.stdout


def test_judging_without_rules_loads_no_statistics() -> None:
    import subprocess

    code = "import sys, mene.cli.judge; print(sorted({'scipy', 'mene.gate'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
