"""``mene align`` with a wish, and ``mene judge`` with what it wrote: from the command line, with a judge that is planted."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from mene.bench.align.align import learn
from mene.bench.align.reached import Reached, _Asked, _cut, reach
from mene.bench.align.wanted import Wanted, wanted_of
from mene.cli.console import Screen
from mene.cli.notes import alone_words
from mene.cli.verdict_shown import print_verdict
from mene.cli.wanted import p_text, wanted_lines
from mene.criterion import Criterion, load_criterion
from mene.engines.base import Completion, best
from mene.judge.calibration import Calibration
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.scale import Scale
from mene.stats.intervals import Figure
from mene.stats.promised import start_of
from mene.verdict import Verdict

FAITHFUL = load_criterion("faithfulness")


class Planted:
    """Says of every row what stands in it: ``[0.25 0.75]`` are the probabilities of its labels."""

    identity = "planted:1"
    context = 100_000
    control_tokens: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.asked = 0

    def run(self, requests, stop=None) -> Generator[Completion, None, None]:
        for request in requests:
            self.asked += 1
            found = re.findall(r"\[([\d. ]+)\]", request.messages[-1].content)[-1]
            p = dict(zip(request.labels, map(float, found.split()), strict=True))
            yield Completion(request.index, label=best(p), probabilities=p)

    def count(self, request) -> int:
        return 10

    def close(self) -> None:
        pass


@pytest.fixture
def planted(monkeypatch, tmp_path) -> Planted:
    engine = Planted()
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: engine)
    monkeypatch.chdir(tmp_path)
    return engine


def write(path: Path, count: int, seed: int, labelled: bool = True) -> list[float]:
    """Rows of a judge that is honest: a row with p is a Yes that often. Returns the p of Yes."""
    lot, said = random.Random(seed), []
    with path.open("w") as file:
        for i in range(count):
            p = round(lot.betavariate(0.4, 0.4), 6)
            said.append(p)
            row = {"context": f"c{seed}-{i}", "response": f"[{p:.6f} {1 - p:.6f}]"}
            if labelled:
                row["label"] = "Yes" if lot.random() < p else "No"
            file.write(json.dumps(row) + "\n")
    return said


def verdicts(path: str) -> list[Verdict]:
    return [Verdict.model_validate_json(line) for line in Path(path).read_text().splitlines()]


def test_a_threshold_for_a_precision_is_what_the_judge_labels_by(planted, here, tmp_path) -> None:
    write(tmp_path / "labelled.jsonl", 250, 1)
    done = here("align", "labelled.jsonl", "-c", "faithfulness", "--precision", 0.85, "-q")
    assert done.returncode == 0, done.stderr
    assert "Promised: with a confidence of 0.9, its precision is 0.85 or more" in done.stdout
    assert re.search(r"precision [89]\d\.\d % \[.*\] of \d+ rows, recall", done.stdout)
    [saved] = load_preset("nano-faithfulness.yaml").calibrations
    assert saved.threshold is not None and saved.threshold.label == "Yes"
    assert (
        saved.threshold.precision == 0.85 and (saved.threshold.held_out["precision"][0] or 0) > 0.8
    )
    assert 0.5 < saved.threshold.at < 0.99

    said = write(tmp_path / "fresh.jsonl", 100, 2, labelled=False)
    judge = ("judge", "fresh.jsonl", "-c", "faithfulness", "-j", "nano-faithfulness.yaml")
    assert here(*judge, "-q").returncode == 0
    found = verdicts("fresh.verdicts.jsonl")
    between = 0
    for verdict, p in zip(found, said, strict=True):
        assert verdict.probabilities is not None
        assert verdict.label == (
            "Yes" if verdict.probabilities["Yes"] >= saved.threshold.at else "No"
        )
        assert verdict.threshold == {"Yes": saved.threshold.at}
        assert verdict.confidence == verdict.probabilities[verdict.label or ""]
        assert (verdict.uncalibrated or verdict.probabilities)["Yes"] == p
        between += verdict.label != best(verdict.probabilities)
    assert between > 2
    shown = here(*judge, "--overwrite", "--show", 200).stdout
    assert shown.count(f"(Yes from p={saved.threshold.at:.2f} on)") == between


def test_a_recall_is_reached_too(planted, here, tmp_path) -> None:
    write(tmp_path / "labelled.jsonl", 200, 3)
    done = here(
        "align",
        "labelled.jsonl",
        "-c",
        "faithfulness",
        "--recall",
        0.9,
        "--for",
        "no",
        "--json",
        "-q",
    )
    wanted = json.loads(done.stdout)["nano"]["wanted"]
    assert wanted["reached"] and wanted["threshold"]["label"] == "No"
    value, low, high = wanted["threshold"]["held_out"]["recall"]
    assert low < 0.95 and high > 0.9 and value > 0.86


def test_what_the_judge_may_not_decide_alone_is_left_to_a_person(planted, here, tmp_path) -> None:
    write(tmp_path / "labelled.jsonl", 300, 4)
    done = here("align", "labelled.jsonl", "-c", "faithfulness", "--error", 0.1, "-q")
    assert done.returncode == 0, done.stderr
    assert (
        "at most 10 % of the labels that it gives without a person are wrong (each context counted once), if new rows"
        in done.stdout
    )
    assert "--judge nano-faithfulness.yaml --abstain" in done.stdout
    [saved] = load_preset("nano-faithfulness.yaml").calibrations
    alone = saved.alone
    assert alone is not None and alone.rows == 180 and 0.6 < alone.at < 1

    write(tmp_path / "fresh.jsonl", 120, 5)
    judge = ("judge", "fresh.jsonl", "-c", "faithfulness", "-j", "nano-faithfulness.yaml")
    plain = here(*judge)
    assert plain.returncode == 0
    assert "may decide alone where p is" in plain.stderr
    assert all(v.label and not v.abstained for v in verdicts("fresh.verdicts.jsonl"))

    asked = planted.asked
    done = here(*judge, "--abstain", "--json")
    assert planted.asked == asked  # the same answers, read again
    assert done.returncode == 0
    found = verdicts("fresh.verdicts.jsonl")
    left = [v for v in found if v.abstained]
    assert json.loads(done.stdout)["abstained"] == len(left) > 5
    assert json.loads(done.stdout)["errors"] == 0
    assert sum(json.loads(done.stdout)["labels"].values()) == 120 - len(left)
    for v in found:
        assert v.probabilities is not None and v.error is None
        assert v.abstained == (max(v.probabilities.values()) < alone.at) == (v.label is None)
        assert v.likeliest == (best(v.probabilities) if v.abstained else None)
    golds = [json.loads(line)["label"] for line in Path("fresh.jsonl").read_text().splitlines()]
    decided = [(v.label, gold) for v, gold in zip(found, golds, strict=True) if v.label]
    assert sum(a != b for a, b in decided) / len(decided) < 0.1

    report = here("report", "fresh.verdicts.jsonl", "--data", "fresh.jsonl", "--json")
    assert report.returncode == 0
    [section] = json.loads(report.stdout)
    assert (section["errors"], section["abstained"]) == (0, len(left))
    assert section["agreement"]["accuracy"]["n"] == len(decided)
    page = Path("fresh.verdicts.html").read_text()
    assert f"{len(left)} to a person" in page and "ask a person" in page and "no errors" in page
    words = here("report", "fresh.verdicts.jsonl").stdout
    assert f"120 rows, 0 without a verdict, {len(left)} left to a person" in words

    assert here(*judge, "-q").returncode == 0  # and back
    assert planted.asked == asked
    assert [v.label for v in verdicts("fresh.verdicts.jsonl")] == [
        best(v.probabilities or {}) for v in found
    ]
    streamed = here(*judge, "--abstain", "-o", "-", "-q").stdout.splitlines()
    assert [json.loads(line)["label"] for line in streamed] == [v.label for v in found]
    assert sum(json.loads(line).get("abstained", False) for line in streamed) == len(left)


def test_a_run_shows_whom_to_ask(planted, here, tmp_path) -> None:
    write(tmp_path / "labelled.jsonl", 200, 6)
    assert (
        here("align", "labelled.jsonl", "-c", "faithfulness", "--error", 0.1, "-q").returncode == 0
    )
    write(tmp_path / "fresh.jsonl", 20, 7, labelled=False)
    judge = ("judge", "fresh.jsonl", "-c", "faithfulness", "-j", "nano-faithfulness.yaml")
    done = here(*judge, "--abstain")
    left = sum(v.abstained for v in verdicts("fresh.verdicts.jsonl"))
    assert done.stdout.count("ask a person  (likeliest") == left > 0
    assert re.search(rf"ask a person +{left} row", done.stderr)
    assert "may decide alone" not in done.stderr


def test_what_cannot_be_promised_is_said_and_nothing_of_it_saved(planted, here, tmp_path) -> None:
    lot = random.Random(0)
    with (tmp_path / "labelled.jsonl").open("w") as file:
        for i in range(100):  # a judge that knows nothing
            p = round(lot.random(), 6)
            row = {
                "context": str(i),
                "response": f"[{p:.6f} {1 - p:.6f}]",
                "label": lot.choice(["Yes", "No"]),
            }
            file.write(json.dumps(row) + "\n")
    done = here("align", "labelled.jsonl", "-c", "faithfulness", "--precision", 0.9, "-q")
    assert done.returncode == 1
    assert "cannot be promised with 100 independent rows" in done.stdout
    assert re.search(
        r"of the \d+ of them to which it gives Yes the highest probability, \d+ are not labelled Yes",
        done.stdout,
    )
    saved_so = Path("nano-faithfulness.yaml").exists()  # only a calibration
    assert saved_so == ("nano-faithfulness.yaml (only the calibration)" in done.stdout)
    if saved_so:
        [saved] = load_preset("nano-faithfulness.yaml").calibrations
        assert saved.threshold is None and saved.method != "none"
    gold, said = pair_rows(("Yes", "No"), 100, 0)
    lot.shuffle(gold)
    wish = Wanted(error=0.1)
    found = reach(wish, FAITHFUL, "verdict", gold, said, range(100), None)
    assert found.calibration is None
    assert re.search(r"surest of, people label \d+ otherwise", " ".join(wanted_lines(wish, found)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--error 0", "no number of labels can prove that a judge is never wrong"),
        ("--error 1", "like 0.05"),
        ("--precision 1", "nothing ever goes wrong"),
        ("--precision 90", "a share above 0 and under 1, like 0.9"),
        ("--precision nan", "a share above 0 and under 1"),
        ("--error 0.1 --confidence 1", "--confidence 1"),
        ("--error 0.1 --recall 0.9", "--recall and --error"),
        ("--confidence 0.9", "needs a goal"),
        ("--for Yes", "needs a goal"),
        ("--error 0.1 --for Yes", "--error is about all labels"),
        ("--precision 0.9 --for Yse", 'not on the scale Yes/No of faithfulness; did you mean "Yes"'),
        ("--precision 0.9 --scale 1-5", "say it with --for, like --for 5"),
        ("--error 0.05", "takes 45, even of a judge that is never wrong; label 5 more with other contexts or texts, or --error 0.056"),
        ("--precision 0.99", "label 190 more with other contexts or texts, or --precision 0.944"),
        ("--recall 0.95", "20 independent rows labelled Yes"),
    ],
)  # fmt: skip
def test_wishes_that_nothing_can_grant_cost_no_time(planted, here, tmp_path, options, said) -> None:
    with (tmp_path / "few.jsonl").open("w") as file:
        for i in range(40):
            label = "1" if "1-5" in options else "Yes" if i % 2 else "No"
            file.write(
                json.dumps({"context": str(i), "response": "[0.5 0.5]", "label": label}) + "\n"
            )
    done = here("align", "few.jsonl", "-c", "faithfulness", *options.split())
    assert done.returncode == 2
    assert said.casefold() in done.stderr.casefold()
    assert len(done.stderr.strip().splitlines()) == 1
    assert planted.asked == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-j nano", "does not know how sure it must be of faithfulness in verdict mode to decide alone"),
        ("--jury nano,nano-base", "not a jury"),
    ],
)  # fmt: skip
def test_nobody_abstains_by_guessing(planted, here, tmp_path, options, said) -> None:
    write(tmp_path / "rows.jsonl", 3, 0)
    done = here(
        "judge", "rows.jsonl", "-c", "faithfulness", "-m", "verdict", "--abstain", *options.split()
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert not Path("rows.verdicts.jsonl").exists()


def pair_rows(labels: tuple[str, ...], count: int, seed: int):
    """Gold labels and an honest judge's probabilities on any scale."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(len(labels), 0.3), count)
    drawn = (rng.random((count, 1)) > table.cumsum(axis=1)).sum(axis=1).clip(max=len(labels) - 1)
    gold = [labels[i] for i in drawn]
    return gold, [dict(zip(labels, map(float, row), strict=True)) for row in table]


@pytest.mark.parametrize("name", ["preference", "tone", "classes", "ties"])
def test_every_scale_has_rows_that_are_decided_alone(name: str) -> None:
    scales = {"classes": Scale.classes("good", "bad", "ugly"), "ties": Scale.pairwise(ties=True)}
    criterion = (
        Criterion(question="Which?", scale=scales[name]) if name in scales else load_criterion(name)
    )
    gold, said = pair_rows(criterion.scale.labels, 500, 1)
    found = reach(
        Wanted(error=0.15),
        criterion,
        "verdict",
        gold,
        said,
        range(500),
        None,
        compare="both-orders",
    )
    assert found.calibration is not None and found.calibration.alone is not None
    alone = found.calibration.alone
    assert (
        alone.compare == "both-orders" and alone.rows == found.rows == 300 and found.taught == 200
    )
    fresh, again = pair_rows(criterion.scale.labels, 4000, 2)
    tables = [found.calibration.apply(p) for p in again]
    decided = [
        best(p) == g for p, g in zip(tables, fresh, strict=True) if max(p.values()) >= alone.at
    ]
    assert len(decided) > 400
    assert 1 - np.mean(decided) < 0.17  # 0.15 is promised, of all rows


def test_a_threshold_of_a_pair_favours_no_seat() -> None:
    preference = load_criterion("preference")
    ties = preference.model_copy(update={"scale": Scale.pairwise(ties=True)})
    for criterion, label in (preference, None), (preference, "A"), (ties, "B"):
        with pytest.raises(Exception, match="would favour one position"):
            wanted_of(criterion, precision=0.9, label=label)
    assert wanted_of(ties, precision=0.9, label="tie") == Wanted(precision=0.9, label="tie")


@pytest.mark.parametrize("labels", [("Yes", "No"), ("good", "bad", "ugly")])
def test_a_precision_is_reached_on_fresh_rows_as_often_as_promised(labels) -> None:
    """Together with a calibration that the same rows taught."""
    scale = Scale.parse("/".join(labels))
    asked = _Asked(
        Wanted(precision=0.8, label=labels[-1]),
        Criterion(question="Which is it?", scale=scale), "verdict", None, 0, False,
    )  # fmt: skip
    fresh, again = pair_rows(scale.labels, 4_000, 10_000)
    truth = np.array([g == labels[-1] for g in fresh])
    raw = np.array([list(p.values()) for p in again]) ** 2  # a judge that is too sure
    raw /= raw.sum(axis=1, keepdims=True)
    broken, got = 0, 0
    for seed in range(25):
        gold, said = pair_rows(scale.labels, 150, seed)
        table = np.array([list(p.values()) for p in said]) ** 2
        table /= table.sum(axis=1, keepdims=True)
        codes = np.array([labels.index(g) for g in gold])
        learned = learn("bias", asked.criterion, "verdict", table, codes)
        cut = _cut(asked, codes, table, np.arange(150), learned)
        if cut is None:
            continue
        got += 1
        logs = np.log(np.maximum(raw, 1e-9)) / learned.temperature
        logs += [learned.bias[label] for label in labels]
        p = np.exp(logs - logs.max(axis=1, keepdims=True))
        taken = (p / p.sum(axis=1, keepdims=True))[:, -1] >= cut.at
        broken += truth[taken].mean() < 0.8
    assert got > 10
    assert stats.binomtest(broken, 25, 0.1, alternative="greater").pvalue > 1e-3


def test_five_labels_of_one_text_are_one_row() -> None:
    gold, said = pair_rows(("Yes", "No"), 60, 0)
    texts = [str(i) for i in range(60)] * 5
    found = reach(Wanted(error=0.2), FAITHFUL, "verdict", gold * 5, said * 5, texts, None)
    assert found.rows + found.taught == 60


def test_files_of_before_still_load(tmp_path) -> None:
    old = {
        "engine": "llamacpp", "weights": {"path": "x.gguf"},
        "calibrations": [{
            "criterion": "tone", "labels": ["Yes", "No"], "mode": "verdict", "method": "temperature", "temperature": 2.0,
        }],
    }  # fmt: skip
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))
    [calibration] = load_preset(str(tmp_path / "old.yaml")).calibrations
    assert calibration.alone is None and calibration.threshold is None
    bad = old["calibrations"][0] | {"threshold": {"label": "Maybe", "at": 0.5, "confidence": 0.9}}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(old | {"calibrations": [bad]}))
    with pytest.raises(Exception, match='a label that is not in labels: "Maybe"'):
        load_preset(str(tmp_path / "bad.yaml"))


ALIKE = [{"Yes": 0.9, "No": 0.1}] * 60


def words(wanted: Wanted, gold: list[str], said: list[dict[str, float]], **more) -> str:
    found = reach(wanted, FAITHFUL, "verdict", gold, said, range(len(gold)), None, **more)
    return " ".join(wanted_lines(wanted, found))


def test_a_judge_that_may_decide_all_rows_is_not_given_a_threshold_of_nothing() -> None:
    """It said: where p is 0.000 or more."""
    gold, said = ["Yes"] * 60, [{"Yes": 0.6 + i / 200, "No": 0.4 - i / 200} for i in range(60)]
    text = words(Wanted(0.6, error=0.3), gold, said)
    assert "may decide all rows alone, however sure it is: 36 rows, none of them wrong." in text
    text = words(Wanted(0.6, precision=0.7, label="Yes"), gold, said)
    assert "Yes is given to every row, however small its probability; chosen on 60" in text
    assert "Yes is also given where another label is likelier" in text
    for text in (p_text(1e-7), p_text(1 - 1e-7)):
        assert float(text) not in (0, 1)
    assert (p_text(0.0), p_text(0.5), p_text(1.0)) == ("0.000", "0.500", "1.000")


def test_an_aligned_judge_says_that_it_decides_all_rows(capsys) -> None:
    judge = load_preset("nano")
    alone = {"at": 0.0, "error": 0.3, "confidence": 0.6, "rows": 60, "decided": 60, "wrong": 0}
    learned = {"criterion": "faithfulness", "question": FAITHFUL.question, "labels": ["Yes", "No"]}
    learned |= {"mode": "verdict", "method": "none", "alone": alone}
    calibrations = (Calibration.model_validate(learned),)
    opened = Judge(judge.model_copy(update={"calibrations": calibrations}), load=False)
    assert "may decide all rows alone: with" in (alone_words(opened, FAITHFUL) or "")
    p = {"Yes": 0.2, "No": 0.8}
    verdict = Verdict(id="1", label="Yes", probabilities=p, confidence=0.2, threshold={"Yes": 0.0})
    print_verdict(Screen(), verdict)
    assert "(Yes always)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"), [(0, None), (1, "is not labelled Yes"), (2, "are not labelled Yes")]
)
def test_what_the_first_test_saw_is_said_of_the_rows_that_it_saw(wrong: int, said) -> None:
    """Of rows with equal probabilities others were counted than had been tested, and "1 are"."""
    scores, bad = np.linspace(1, 0, 30), np.zeros(30, np.int64)
    bad[:wrong] = 1
    start = start_of(scores, bad, 0.1, 0.9, scores)
    assert (start.rows, start.wrong, start.allowed) == (22, wrong, 0)
    assert start.passed == (wrong == 0)
    wanted = Wanted(0.9, precision=0.9, label="Yes")
    text = " ".join(wanted_lines(wanted, Reached(None, 30, 0, None, start, {})))
    if said is None:
        assert "the same probability to too many of them" in text
    else:
        assert (
            f"of the 22 of them to which it gives Yes the highest probability, {wrong} {said}, and none may be"
            in text
        )
    assert start_of(scores, bad, 0.1, 0.9, scores[:]).rows == 22
    many = start_of(np.ones(300), np.zeros(300, np.int64), 0.1, 0.9, np.zeros(300))
    assert (many.allowed, many.passed) == (2, True)


def test_equal_probabilities_are_the_reason_where_they_are() -> None:
    gold = ["Yes"] * 45 + ["No"] * 15
    text = words(Wanted(0.9, precision=0.9, label="Yes"), gold, ALIKE)
    assert "the same probability to too many" in text or "of them to which it gives Yes" in text
    text = words(Wanted(0.9, precision=0.9, label="Yes"), gold[:45], ALIKE[:45])
    assert "to every row" in text


@pytest.mark.parametrize("value", [None, 0.5])
def test_what_was_held_out_is_said_of_any_number_of_rows(value) -> None:
    gold = ["Yes"] * 60
    wanted = Wanted(0.6, recall=0.7, label="Yes")
    found = reach(wanted, FAITHFUL, "verdict", gold, ALIKE, range(60), None)
    one = Figure(value, None, None, 1 if value else 0)
    changed = replace(found, figures={"precision": one, "recall": one}, missing=1)
    text = " ".join(wanted_lines(wanted, changed))
    assert ("precision 50.0 % of 1 row," if value else "precision not known (no row got") in text
    assert "(1 of the folds had too few for one)" in text


def test_labels_in_any_case_are_those_of_the_scale(planted, here, tmp_path) -> None:
    write(tmp_path / "labelled.jsonl", 60, 9)
    rows = [json.loads(line) for line in Path("labelled.jsonl").read_text().splitlines()]
    spelled = {"Yes": ["yes", "YES", " y", True], "No": ["no", "NO", "N", False]}
    for i, row in enumerate(rows):
        row["label"] = spelled[row["label"]][i % 4]
    Path("labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = here("align", "labelled.jsonl", "-c", "faithfulness", "-q", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["nano"]["rows"] == 60
    tie = Criterion(question="Which?", scale=Scale.pairwise(ties=True))
    assert wanted_of(tie, recall=0.9, label="Tie") == Wanted(recall=0.9, label="tie")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["good"] * 30, "0 rows with a label on the scale Yes/No; at least 20 are"),
        (["Yes"] + ["good"] * 30, "1 row with a label on the scale Yes/No; at least 20 are"),
        (["Yes"] * 19, "19 rows with a label on the scale"),
        (["Yes"] * 30, 'all 30 labels are "Yes"'),
    ],
)
def test_too_few_labels_are_counted_in_words(planted, here, tmp_path, labels, said) -> None:
    rows = ({"context": str(i), "response": "[0.5 0.5]", "label": g} for i, g in enumerate(labels))
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = here("align", "few.jsonl", "-c", "faithfulness")
    assert done.returncode == 2 and said in done.stderr and planted.asked == 0


def test_an_aligned_judge_and_a_second_align_ask_nothing_again(planted, here, tmp_path) -> None:
    """Keys were the same, and all was judged again, under the name of the new judge."""
    write(tmp_path / "rag.jsonl", 60, 10)
    assert here("judge", "rag.jsonl", "-c", "faithfulness", "-m", "verdict", "-q").returncode == 0
    assert planted.asked == 60
    align = ("align", "rag.jsonl", "-c", "faithfulness", "--recall", 0.7, "--confidence", 0.6)
    done = here(*align, "-o", "mine.yaml")
    assert "60 verdicts, 60 taken from rag.verdicts.jsonl (nano)" in done.stderr
    done = here("judge", "rag.jsonl", "-c", "faithfulness", "-j", "mine.yaml", "-o", "mine.jsonl")
    assert "60 rows: 0 judged, 60 taken from" in done.stderr
    assert planted.asked == 60
    found = verdicts("mine.jsonl")
    assert {v.judge for v in found} == {"mine"} and all(v.threshold for v in found)
    done = here("judge", "rag.jsonl", "-c", "faithfulness", "-j", "mine.yaml", "--json")
    [taken] = json.loads(done.stdout)["taken"]
    assert taken["rows"] == 60
    report = here("report", "rag.verdicts.jsonl", "--data", "rag.jsonl", "--json")
    assert [s["judge"] for s in json.loads(report.stdout)] == ["nano", "mine"]
    assert planted.asked == 60
    assert (
        here(
            "judge", "rag.jsonl", "-c", "faithfulness", "-j", "mine.yaml", "-q", "--overwrite"
        ).returncode
        == 0
    )
    assert planted.asked == 120
