"""Ablations: who trains on what, what the comparison says, and one from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mene import Criterion, Sample, Scale
from mene.cli.app import app
from mene.curate.critiques.critique import borrowed
from mene.curate.make.derive import KINDS as DERIVED
from mene.curate.make.derive import derive
from mene.curate.make.derive import pairs as compared
from mene.curate.make.perturb import perturb
from mene.curate.pair import Pair
from mene.curate.pairs import critique_pair, pairs_of, reason_pair
from mene.curate.raw.sources import Each, Point
from mene.curate.stage import Stage
from mene.errors import UsageError
from mene.message import Message
from mene.recipe import load_recipe
from mene.train.ablate import run as ablations
from mene.train.ablate.effect import effects, markdown, notes, to_dict
from mene.train.ablate.run import ablate
from mene.train.ablate.variants import is_finished, stages_of, variants

SCORE = Criterion(name="set", question="Is it coherent?", scale=Scale.likert(1, 5))
CLASS = Criterion(name="set", question="Follows?", scale=Scale.classes("Yes", "No", "Open"))


def point(number: int, criterion: Criterion = SCORE, label: str = "5", **more: Any) -> Point:
    sample = Sample(
        id=str(number),
        instruction=f"Question {number // 2}?",
        response=f"Alpha{number} beta{number} gamma{number}.",
    )
    gold = float(label) if label.isdigit() else label
    reason = f"This is a fit reason, and its number is {number}."
    named = f"set/{number}"
    return replace(Point(sample, criterion, gold, f"g{number // 2}", named, "set", reason), **more)


def pair(
    number: int, source: str = "a", mode: str = "verdict", mark: str = "", stage: str = ""
) -> Pair:
    label, wrong = ("Yes", "No") if number % 2 else ("No", "Yes")
    # Sets differ in the length of their prompts.
    text = "Is the number odd? " * (24 if source == "b" else 6)
    return Pair(
        id=f"{source}/{number}{mark}/odd{'/critique' if mode == 'critique' else ''}",
        source=source,
        mode=mode,  # type: ignore[arg-type]
        messages=(Message("user", f"{number}: {text}"),),
        labels=("Yes", "No"),
        label=label,
        wrong=wrong,
        cue="**Result:**",
        group=f"{source}:{number // 2}",
        stage=stage,
    )


PAIRS = [pair(n, "a") for n in range(20)] + [pair(n, "b") for n in range(12)]


@pytest.fixture(scope="module")
def recipe() -> Any:
    return load_recipe("nano-cpu")


def test_stages_are_read_from_what_curate_writes() -> None:
    recipe = load_recipe("nano", ["data.compare=both-orders"])
    points = [point(n, label="5" if n % 2 else "1") for n in range(40)]
    classes = [point(n, CLASS, ("Yes", "No", "Open")[n % 3]) for n in range(9)]
    side = {"side": lambda p: "train"}
    good = [
        replace(p, perturb=("swap", "pad", "filler"), order=("1", "5"), versus=("Better?",))
        for p in points
    ]
    wrong = [c.point for kind in ("swap", "pad") for c in perturb(kind, good, 9, 0, **side)]
    pairwise = [
        replace(p, sample=p.sample.model_copy(update={"id": p.id}), perturb=("filler",))
        for p in compared(points, 0)
    ]
    styled = [c.point for c in perturb("filler", pairwise + good, 30, 0, **side)]
    argued = list(borrowed(points, 1.0, 0, lambda p: "train", Stage()))
    each = Each(view="refuses", better="Yes", worse="No")
    texts = {"response": None, "response_a": "I cannot help with that.", "response_b": "Sure!"}
    refusals = [
        replace(p, sample=p.sample.model_copy(update=texts), gold="A", each=each) for p in points
    ]
    made = {
        frozenset[str](): points + classes,
        frozenset({"derive", "derive.pairs"}): list(derive("pairs", points, 0)),
        frozenset({"derive", "derive.yes_no"}): list(derive("yes_no", points + classes, 0)),
        frozenset({"derive", "derive.scales"}): list(derive("scales", points, 0)),
        frozenset({"derive", "derive.scores"}): list(derive("scores", refusals, 0)),
        frozenset({"perturb", "perturb.swap"}): [p for p in wrong if p.id.endswith("swap")],
        frozenset({"perturb", "perturb.pad"}): [p for p in wrong if p.id.endswith("pad")],
        frozenset({"perturb", "perturb.filler"}): styled,
    }
    for expected, found in made.items():
        assert found
        for one in found:
            written = list(pairs_of(one, recipe))
            assert all(stages_of(p) == expected for p in written), one.id
    # Both forms of a wrong version, and a style of a pair of answers.
    assert {p.criterion.scale.kind for p in wrong} == {"ordinal", "pairwise"}
    assert any("~pair~filler" in p.id for p in styled)
    assert all(stages_of(critique_pair(one, recipe)) == {"critiques"} for one in argued)
    assert all(stages_of(reason_pair(one, recipe)) == {"reasons"} for one in argued)
    one = made[frozenset({"derive", "derive.yes_no"})][0]
    derived = replace(argued[0], point=one, wrong="No" if one.label == "Yes" else "Yes")
    written = critique_pair(derived, recipe)
    assert stages_of(written) == {"critiques", "derive", "derive.yes_no"}


def test_every_kind_says_its_stage() -> None:
    points = [point(n, label="5" if n % 2 else "1") for n in range(40)]
    assert set(DERIVED) == {"pairs", "yes_no", "scales", "scores", "pointwise"}
    [one, *_] = derive("pairs", points, 0)
    assert {p.stage for p in derive("pointwise", [one], 0)} == {"derive.pointwise"}
    assert (one.stage, points[0].stage) == ("derive.pairs", "")


def test_ids_of_rows_are_no_stages() -> None:
    assert not stages_of(pair(1, mark="~swap"))
    assert stages_of(pair(1, "facts")) == {"make", "make.facts"}


def test_by_source_all_have_the_same_budget_and_rows_in_common(recipe: Any) -> None:
    found = variants("source", recipe, PAIRS)
    assert [v.title for v in found] == ["all", "without a", "without b"]
    drawn = [v.pairs(PAIRS) for v in found]
    assert [len(pairs) for pairs in drawn] == [12, 12, 12]
    assert {v.recipe.train.pairs for v in found} == {12}
    assert {p.source for p in drawn[0]} == {"a", "b"}
    assert {p.source for p in drawn[1]} == {"b"}
    assert {p.source for p in drawn[2]} == {"a"}
    # What the reference has of the sets that stay, the variant has too.
    for pairs, gone in ((drawn[1], "a"), (drawn[2], "b")):
        kept = {p.id for p in drawn[0] if p.source != gone}
        assert kept <= {p.id for p in pairs}
    fewer = load_recipe("nano-cpu", ["train.pairs=5"])
    assert {v.recipe.train.pairs for v in variants("source", fewer, PAIRS)} == {5}


def test_only_does_not_change_the_budget(recipe: Any) -> None:
    found = variants("source", recipe, PAIRS, ["b"])  # 20 pairs are left without it
    assert [v.title for v in found] == ["all", "without b"]
    assert found[0] == replace(variants("source", recipe, PAIRS)[0], keeps=found[0].keeps)


def test_by_stage_kinds_are_trained_where_they_are_named(recipe: Any) -> None:
    pairs = [pair(n) for n in range(20)]
    pairs += [pair(n, mark="~yes_no", stage="derive.yes_no") for n in range(4)]
    pairs += [
        pair(n, mark=f"+~{kind}", stage=f"perturb.{kind}")
        for kind in ("swap", "pad")
        for n in range(4)
    ]
    pairs += [pair(n, mode="critique") for n in range(4)]
    found = variants("stage", recipe, pairs)
    titles = ["all", "without derive", "without perturb", "without critiques"]
    assert [v.title for v in found] == titles
    assert found[0].recipe.train.pairs == 28
    assert not any("swap" in p.id or "pad" in p.id for p in found[2].pairs(pairs))
    one = variants("stage", recipe, pairs, ["perturb.swap"])
    assert [v.title for v in one] == ["all", "without perturb.swap"]
    assert not any("swap" in p.id for p in one[1].pairs(pairs))
    with pytest.raises(UsageError, match=r"derive\.yes_no"):  # all of derive: the same training
        variants("stage", recipe, pairs, ["derive.yes_no"])


def test_parts_of_a_pair_that_is_asked_pointwise_are_of_its_stage() -> None:
    recipe = load_recipe("nano", ["data.compare=pointwise"])
    for one in derive("pairs", [point(n, label="5" if n % 2 else "1") for n in range(40)], 0):
        written = list(pairs_of(one, recipe))
        assert [stages_of(part) for part in written] == [{"derive", "derive.pairs"}] * 2


def test_by_loss_of_pairs_that_are_compared() -> None:
    found = variants("loss", load_recipe("nano-pairs"), PAIRS)
    assert [v.title for v in found] == [
        "joint",
        "without dpo",
        "without sft",
        "without bradley_terry",
    ]
    weights = [(t.beta, t.sft, t.bradley_terry) for t in (v.recipe.train for v in found)]
    assert weights == [(0.1, 1.0, 1.0), (0, 1.0, 1.0), (0.1, 0, 1.0), (0.1, 1.0, 0)]


def test_by_loss(recipe: Any) -> None:
    changed = load_recipe("nano-cpu", ["train.beta=0", "train.sft=0.5"])
    for one, weights in (
        (recipe, [(0.1, 1.0), (0, 1.0), (0.1, 0)]),
        (changed, [(0.1, 0.5), (0, 0.5), (0.1, 0)]),
    ):
        found = variants("loss", one, PAIRS)
        assert [v.title for v in found] == ["joint", "sft only", "dpo only"]
        assert [v.without for v in found] == ["", "dpo", "sft"]
        assert [(v.recipe.train.beta, v.recipe.train.sft) for v in found] == weights
        assert {v.recipe.train.pairs for v in found} == {32}


@pytest.mark.parametrize(
    ("by", "pairs", "only", "message"),
    [
        ("sauce", PAIRS, [], 'did you mean "source"'),
        ("source", PAIRS[:20], [], "one source only, a"),
        ("source", PAIRS, ["aa"], 'no variant "aa"; did you mean "a"'),
        ("loss", PAIRS, ["sft-onyl"], 'did you mean "sft-only"'),
        ("stage", PAIRS, [], "set data.derive"),
        ("stage", [pair(1, stage="derive.yes_no")], [], "nothing but derive"),
        ("loss", [], [], "no pairs to train on"),
    ],
)
def test_what_cannot_be_left_out(
    by: str, pairs: list[Any], only: list[str], message: str, recipe: Any
) -> None:
    with pytest.raises(UsageError, match=message):
        variants(by, recipe, pairs, only)


def test_a_recipe_without_a_base_and_missing_data(recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no base"):
        variants("source", recipe.model_copy(update={"base": None}), PAIRS)
    with pytest.raises(UsageError, match="make it with `mene curate"):
        run("nano-cpu", "--data", str(tmp_path / "nowhere"), "--dry-run")


def run(*arguments: str) -> Any:
    found = CliRunner().invoke(app, ["ablate", *arguments])
    if isinstance(found.exception, UsageError):
        raise found.exception
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [p.to_json() + "\n" for p in PAIRS]
    (folder / "train.jsonl").write_text("".join(rows))
    held = [pair(n, source) for n in range(100, 106) for source in "ab"]
    held.append(pair(107, mode="critique"))
    (folder / "dev.jsonl").write_text("".join(p.to_json() + "\n" for p in held))
    return folder


def test_a_dry_run_counts_and_trains_nothing(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    found = run("nano-cpu", "--data", str(data), "-o", str(output), "--dry-run", "--json")
    rows = json.loads(found.stdout)["variants"]
    assert [(r["variant"], r["pairs_left"], r["pairs"]) for r in rows] == [
        ("all", 32, 12),
        ("without a", 12, 12),
        ("without b", 20, 12),
    ]
    assert rows[2]["tokens"] < rows[1]["tokens"]
    assert "12 pairs each" in run("nano-cpu", "--data", str(data), "--dry-run").stdout
    assert not output.exists()


class Trained:
    """Stands for ``train``: leaves what a run leaves; stops where it is told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.steps: list[int | None] = []
        self.stop_at = stop_at

    def __call__(self, recipe: Any, data: Path, output: Path, **more: Any) -> Path | None:
        self.asked.append(output.name)
        self.steps.append(more["steps"])
        if len(self.asked) == self.stop_at:
            return None
        (output / "adapter").mkdir()
        log = [{"step": 0, "dev_accuracy": 0.5}, {"step": 7, "dev_accuracy": 0.6}]
        (output / "log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in log))
        write_rows(output, [0.6] * 12)
        return output / "adapter"


def write_rows(folder: Path, sure: list[float], ids: list[str] | None = None) -> None:
    """What a run judges: the probability of the right label of each row."""
    rows = [
        {
            "id": ids[i] if ids else f"{'ab'[i % 2]}/{100 + i // 2}/odd",
            "source": "ab"[i % 2],
            "labels": ["Yes", "No"],
            "label": "Yes",
            "probabilities": [p, 1 - p],
        }
        for i, p in enumerate(sure)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "development.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_what_is_stopped_goes_on_and_what_is_finished_stays(
    data: Path, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, output = variants("source", recipe, PAIRS), tmp_path / "out"
    first = Trained(stop_at=2)
    monkeypatch.setattr(ablations, "train", first)
    assert [v.title for v in ablate(chosen, PAIRS, data, output)] == ["all"]
    second = Trained()
    monkeypatch.setattr(ablations, "train", second)
    assert ablate(chosen, PAIRS, data, output) == chosen
    assert (first.asked, second.asked) == (["all", "without-a"], ["without-a", "without-b"])
    assert second.steps == [7, 7]  # as many as the reference took
    own = output / "without-a" / "data"
    assert (own / "dev.jsonl").read_bytes() == (data / "dev.jsonl").read_bytes()
    assert all('"source": "b"' in line for line in (own / "train.jsonl").read_text().splitlines())
    assert all(is_finished(v, output) for v in chosen)
    # Another recipe never takes over what is finished.
    other = variants("source", load_recipe("nano-cpu", ["train.beta=1"]), PAIRS)
    with pytest.raises(UsageError, match="another recipe"):
        ablate(other, PAIRS, data, output)
    assert not ablate(chosen, PAIRS, data, output, stopping=lambda: True)


def test_stopped_it_reports_what_is_done(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(ablations, "train", Trained(stop_at=3))
    output = tmp_path / "out"
    found = run("nano-cpu", "--data", str(data), "-o", str(output), "--device", "cpu")
    assert found.exit_code == 130
    assert "without a" in found.stdout
    assert "stopped with 2 of 3 trained; run the same command again to continue" in found.stderr
    record = json.loads((output / "ablation.json").read_text())
    assert [v["variant"] for v in record["variants"]] == ["all", "without a"]
    assert record["unfinished"] == ["without b"]


def test_no_rows_to_compare_on(data: Path, recipe: Any, tmp_path: Path) -> None:
    (data / "dev.jsonl").write_text(pair(1, mode="critique").to_json() + "\n")
    with pytest.raises(UsageError, match="no rows to compare on"):
        ablate(variants("loss", recipe, PAIRS), PAIRS, data, tmp_path / "out")


def measured(tmp_path: Path, recipe: Any, *columns: list[float], grouped: bool = False) -> Any:
    """Effects of runs that gave the right label these probabilities; sets a and b in turn."""
    chosen = variants("source", recipe, PAIRS)[: len(columns)]
    ids = [f"{'ab'[i % 2]}/{i}/odd" for i in range(len(columns[0]))]
    for one, column in zip(chosen, columns, strict=True):
        folder = one.folder(tmp_path)
        write_rows(folder, column, ids)
        (folder / "log.jsonl").write_text('{"step": 9, "dev_accuracy": 0}\n')
    held = [
        pair(i, name[0]).model_copy(update={"id": name, "group": str(i // 4) if grouped else name})
        for i, name in enumerate(ids)
    ]
    return effects(chosen, held, tmp_path)


def test_leaving_out_what_helps_costs(recipe: Any, tmp_path: Path) -> None:
    reference = [0.8] * 60
    without_a = [0.3 if i % 2 == 0 and i < 40 else 0.8 for i in range(60)]  # hurts rows of a alone
    without_b = [0.8] * 59 + [0.79]
    first, a, b = measured(tmp_path, recipe, reference, without_a, without_b)
    assert (first.accuracy.value, first.verdict, first.accuracy_change) == (1, "", None)
    assert first.log_loss.value == pytest.approx(-np.log(0.8))
    assert (a.verdict, b.verdict) == ("helps", "no difference seen")
    change = a.accuracy_change
    assert change.difference.value == pytest.approx(-1 / 3)
    assert change.difference.low < -1 / 3 < change.difference.high < 0
    assert change.p == pytest.approx(2 * 0.5**20)  # McNemar: 20 rows of one kind
    assert change.p_holm == pytest.approx(4 * change.p)
    assert a.log_loss_change.difference.value == pytest.approx(np.log(0.8 / 0.3) / 3)
    assert (a.others.value, a.others.n, a.others_loss.value) == (0, 30, 0)
    text = markdown("source", [first, a, b], ["without c"])
    assert "| without a | 66.7 [" in text
    assert "| a: helps |" in text
    assert "-33.3 [" in text
    assert "Not finished: without c." in text
    assert "60 development rows; 12 pairs and 9 steps each" in notes([first, a, b])
    record = json.loads(json.dumps(to_dict("source", [first, a, b], [])))
    assert record["variants"][1]["accuracy_change"]["difference"]["value"] == pytest.approx(-1 / 3)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([0.4] * 60, [0.7] * 60, "hurts"),
        ([0.6] * 60, [0.7, 0.72] * 30, "hurts"),  # seen by log loss alone
        ([0.7] * 60, [0.695] * 60, "no difference seen"),  # all alike, by too little
        ([0.7] * 60, [0.7] * 30 + [0.65] * 3 + [0.7] * 27, "no difference seen"),
        ([0.7] * 60, [0.45] * 6 + [0.95] * 54, "accuracy and log loss disagree"),
    ],
)
def test_verdicts(
    before: list[float], after: list[float], verdict: str, recipe: Any, tmp_path: Path
) -> None:
    assert measured(tmp_path, recipe, before, after)[1].verdict == verdict


def test_what_does_not_survive_the_correction_is_said_with_may(recipe: Any, tmp_path: Path) -> None:
    after = np.random.default_rng(3).normal(0.68, 0.07, 60).clip(0.55, 0.9).tolist()
    _, one, _ = measured(tmp_path, recipe, [0.7] * 60, after, [0.7] * 60)
    loss = one.log_loss_change
    assert loss.difference.low > 0
    assert loss.p < 0.05 < loss.p_holm
    assert one.verdict == "may help"


def test_rows_of_a_group_are_drawn_together(recipe: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    after = [float(p) for p in np.repeat(rng.uniform(0.3, 0.9, 25), 4)]
    alone = measured(tmp_path / "a", recipe, [0.6] * 100, after)[1].log_loss_change.difference
    together = measured(tmp_path / "b", recipe, [0.6] * 100, after, grouped=True)[1]
    wide = together.log_loss_change.difference
    assert wide.high - wide.low > 1.5 * (alone.high - alone.low)


def test_a_change_of_few_rows_or_groups_is_no_claim(recipe: Any, tmp_path: Path) -> None:
    few = [0.7] * 56 + [0.45, 0.5, 0.52, 0.55]  # four coins come up alike one time in eight
    loss = measured(tmp_path / "a", recipe, [0.7] * 60, few)[1].log_loss_change
    assert loss.difference.value > 0 and loss.difference.low is None and loss.p == 1
    after = [0.4] * 16  # four groups
    found = measured(tmp_path / "b", recipe, [0.6] * 16, after, grouped=True)[1]
    assert found.accuracy_change.difference.value == -1
    assert found.accuracy_change.difference.low is None
    assert found.verdict == "no difference seen"


def test_a_pair_asked_about_pointwise_is_one_row(recipe: Any, tmp_path: Path) -> None:
    chosen = variants("source", recipe, PAIRS)[:2]
    for one in chosen:
        write_rows(one.folder(tmp_path), [0.5], ["a/1 better A/B"])
        (one.folder(tmp_path) / "log.jsonl").write_text('{"step": 1}\n')
    names = {"compared": "a/1 better A/B"}
    held = [pair(1).model_copy(update={"id": f"a/1/better/{x}", **names}) for x in "ab"]
    assert [effect.variant for effect in effects(chosen, held, tmp_path)] == ["all", "without a"]


def test_other_rows_are_refused(recipe: Any, tmp_path: Path) -> None:
    chosen = variants("source", recipe, PAIRS)[:2]
    for one, name in zip(chosen, "xy", strict=True):
        write_rows(one.folder(tmp_path), [0.5], [name])
        (one.folder(tmp_path) / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(UsageError, match="judged other rows"):
        effects(chosen, [pair(1).model_copy(update={"id": name}) for name in "xy"], tmp_path)


def test_an_ablation_from_the_command_line(data: Path, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    settings = {"epochs": 2, "pairs": 9, "pack_tokens": 64, "packs": 1, "dtype": "float32"}
    text = {
        "base": {"path": str(base)},
        "adapter": {"rank": 2},
        "train": settings | {"evaluate": 1, "learning_rate": 5e-3},
        "data": {"sources": {"hanna": 1}},
    }
    (tmp_path / "tiny.yaml").write_text(json.dumps(text))
    output = tmp_path / "out"
    arguments = [str(tmp_path / "tiny.yaml"), "--data", str(data), "--output", str(output)]
    arguments += ["--device", "cpu", "--json"]
    found = run(*arguments)
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record == json.loads((output / "ablation.json").read_text())
    reference, variant, other = record["variants"]
    assert (reference["variant"], variant["variant"]) == ("all", "without a")
    # Prompts of b take four times as many tokens.
    assert reference["steps"] == variant["steps"] == other["steps"] > 4
    logs = [json.loads(x) for x in (output / "without-b" / "log.jsonl").open()]
    assert logs[-1]["step"] == reference["steps"]
    assert variant["accuracy_change"]["difference"]["n"] == 12
    assert variant["others"]["n"] == 6
    rows = [json.loads(x) for x in (output / "all" / "development.jsonl").open()]
    assert len(rows) == 12
    assert all(sum(row["probabilities"]) == pytest.approx(1) for row in rows)
    last = json.loads((output / "all" / "log.jsonl").read_text().splitlines()[-1])
    assert last["dev_accuracy"] == pytest.approx(reference["accuracy"]["value"])
    assert "| without a |" in (output / "ablation.md").read_text()
    # Again: nothing is trained.
    trained = output / "without-a" / "adapter" / "adapter_model.safetensors"
    before = trained.stat().st_mtime_ns
    assert json.loads(run(*arguments).stdout) == record
    assert trained.stat().st_mtime_ns == before
