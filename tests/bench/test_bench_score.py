"""The benchmark figures: against judges whose score is known, and against independent numbers."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from sklearn import metrics

from mene import Judge, bench
from mene.bench.baselines import baselines
from mene.bench.data import Item, read_set, set_path, stratified
from mene.bench.leaderboard.published import published
from mene.bench.protocol import section_weights
from mene.bench.run import by_protocol, judge_set
from mene.bench.score import score
from mene.bench.sets import all_sets
from mene.cli.bench_tables import tell_notes
from mene.criterion import load_criterion
from mene.engines.base import Completion, Request, best
from mene.judge.preset import Preset
from mene.message import Message
from mene.sample import Sample
from mene.scale import Scale
from mene.verdict import Verdict
from mene.weights.source import Weights

HERE = [
    "aggrefact_parts",
    "auto_j",
    "craft_md",
    "eval_bias_bench",
    "felm",
    "financebench",
    "halueval_general",
    "hhh_alignment",
    "human_chat_pairs",
    "lfqa",
    "llmbar",
    "llmbar_case_study",
    "mt_bench",
    "rewardbench",
    "summary_faithfulness",
    "summeval",
    "vicuna_bench",
    "xstest_compliance",
]


@cache
def items_of(folder: Path, name: str) -> list[Item]:
    return read_set(folder, all_sets()[name])


class ScriptedEngine:
    """Answers every prompt with the label it was told; goes the whole way from sample to verdict."""

    identity = "scripted:1"
    context: int | None = None
    control_tokens = frozenset[str]()

    def __init__(self) -> None:
        # Rows of one prompt (an expert's vote each) are answered in the order they were told.
        self.answers: dict[tuple[Message, ...], list[dict[str, float]]] = defaultdict(list)

    def run(self, requests: Iterable[Request], stop=None) -> Generator[Completion, None, None]:
        for r in requests:
            p = self.answers[r.messages].pop(0)
            yield Completion(r.index, label=best(p), probabilities=p)

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return 1

    def close(self) -> None:
        pass


def sure_of(answer: str | float, scale: Scale) -> dict[str, float]:
    """Probabilities of a label; or those whose expected label is a number between two."""
    if isinstance(answer, str):
        rest = 0.1 / (len(scale.labels) - 1)
        return {label: 0.9 if label == answer else rest for label in scale.labels}
    near = {label: max(0.0, 1 - abs(float(label) - answer)) for label in scale.labels}
    return {label: p / sum(near.values()) for label, p in near.items()}


def scripted(
    folder: Path, name: str, choose: Callable[[Scale, str | float], str | float], limit: int = 80
) -> bench.score.Score:
    """Judge a sample of a set with answers chosen from (scale, gold label)."""
    one = all_sets()[name]
    grouped = one.metric == "group_spearman"
    items = stratified(
        items_of(folder, name), 8 * limit if grouped else limit, whole_groups=grouped
    )
    engine = ScriptedEngine()
    preset = Preset(name="scripted", engine="openai", weights=Weights(served="x"))
    judge = by_protocol(Judge(preset, mode="verdict", engine=engine), one)
    for item in items:
        scale = item.criterion.scale
        p = sure_of(choose(scale, item.gold or "A"), scale)
        criterion = item.criterion.model_copy(update={"name": name})
        first, *second = judge.ask(item.sample, criterion).requests
        engine.answers[first.messages].append(p)
        for request in second:
            engine.answers[request.messages].append(scale.swapped(p))
    return judge_set(judge, one, items, None).score


def flipped(scale: Scale, gold: str | float) -> str | float:
    if isinstance(gold, float):
        return scale.values[0] + scale.values[-1] - gold
    return next(label for label in scale.labels if label != gold)


@pytest.mark.parametrize("name", HERE)
def test_gold_scores_all_and_flipped_nothing(bench_data, name: str) -> None:
    good = scripted(bench_data, name, lambda scale, gold: gold)
    bad = scripted(bench_data, name, flipped)
    assert good.figure.value == pytest.approx(1)
    assert bad.figure.value == pytest.approx(0 if all_sets()[name].is_accuracy else -1)
    assert good.failed == bad.failed == 0
    if all_sets()[name].is_accuracy:
        assert all(f.value == 1 for f in good.parts.values())
    if all_sets()[name].both_orders:
        assert good.consistency is not None
        assert good.both_right is not None
        assert good.consistency.value == good.both_right.value == 1
    assert good.beats_trivial
    assert not bad.beats_trivial


@pytest.mark.parametrize("name", HERE)
def test_a_random_judge_lies_within_its_interval_of_chance(bench_data, name: str) -> None:
    within = 0
    for seed in range(5):
        lot = random.Random(seed)
        found = scripted(bench_data, name, lambda scale, gold, lot=lot: lot.choice(scale.labels))
        assert found.figure.low is not None
        assert found.figure.high is not None
        within += found.figure.low <= found.chance <= found.figure.high
    assert within >= 3  # each holds in about 19 of 20 draws


def test_a_failure_counts_as_wrong_and_is_reported(bench_data) -> None:
    one = all_sets()["hhh_alignment"]
    items = items_of(bench_data, "hhh_alignment")
    gold = {i.sample.id: Verdict(id=i.sample.id, label=str(i.gold)) for i in items}
    broken = dict(gold)
    for item in items[:21]:
        broken[item.sample.id] = Verdict(id=item.sample.id, error="no answer")
    del broken[items[30].sample.id]
    found = score(one, items, broken)
    assert found.failed == 22
    assert found.counted == 221
    assert found.figure.value == pytest.approx(199 / 221)


def test_a_pair_of_two_times_one_text_counts_for_nobody() -> None:
    """Its label is chosen by nobody, and was right by luck."""
    for ties, counted in ((False, 3), (True, 4)):
        criterion = load_criterion("preference").model_copy(
            update={"scale": Scale.pairwise(ties=ties), "labels": {}}
        )
        items = [
            Item(Sample(id=str(n), response_a="x", response_b=b), criterion, "A", str(n), "A", "p")
            for n, b in enumerate(["x ", "y", "z", "w"])
        ]  # fmt: skip
        given = {str(n): Verdict(id=str(n), label="A") for n in range(4)}
        found = score(all_sets()["human_chat_pairs"], items, given)
        assert (found.counted, found.even) == (counted, 4 - counted)
        console = Console(record=True, width=200)
        tell_notes(console, [found])
        said = "1 pair whose two responses are the same text: not counted"
        assert (said in console.export_text()) == (not ties)


def test_a_failure_never_helps_a_correlation(bench_data) -> None:
    one = all_sets()["mt_bench"]
    items = items_of(bench_data, "mt_bench")
    gold = {i.sample.id: Verdict(id=i.sample.id, label="1", score=float(i.gold)) for i in items}
    assert score(one, items, gold).figure.value == pytest.approx(1)
    middling = [i for i in items if 2.5 <= float(i.gold) <= 3.5]
    for item in middling:  # failing where the middle of the scale is right
        gold[item.sample.id] = Verdict(id=item.sample.id, error="no answer")
    found = score(one, items, gold)
    assert found.failed == len(middling) > 20
    assert found.figure.value is not None
    assert found.figure.value < 0.9


# --- independent numbers -----------------------------------------------------------------------


def test_trivial_baselines_equal_those_of_the_data(bench_data) -> None:
    """The figures in the README of the data, computed by others from the same files."""
    longer = {
        "rewardbench": 45.7,
        "lfqa": 69.2,
        "hhh_alignment": 63.3,
        "eval_bias_bench": 26.2,
        "auto_j": 71.8,
        "llmbar": 27.0,
        "llmbar_case_study": 45.1,
        "human_chat_pairs": 65.5,
    }
    for name, percent in longer.items():
        rows = [i for i in items_of(bench_data, name) if i.raw in ("A", "B")]
        _, trivial = baselines(all_sets()[name], rows)
        credit = trivial["longer"].credit.copy()
        equal = credit == 0.5
        # The README gives pairs of equal length to B; mene gives them half a credit.
        credit[equal] = [float(r.gold == "B") for r, e in zip(rows, equal, strict=True) if e]
        assert abs(100 * credit.mean() - percent) < 0.0501, name
    majority = {"craft_md": 73.1, "aggrefact_parts": 58.4, "halueval_general": 81.9, "felm": 66.7}
    majority |= {"summary_faithfulness": 56.5, "xstest_compliance": 48.5}
    for name, percent in majority.items():
        _, trivial = baselines(all_sets()[name], items_of(bench_data, name))
        assert round(100 * trivial["majority"].credit.mean(), 1) == percent, name


def test_rewardbench_score_of_selene_mini_from_its_published_subsets() -> None:
    """Subsets and sections as in pull request 214 of allenai/reward-bench, to the digit."""
    subsets = {
        "alpacaeval-easy": 0.930,
        "alpacaeval-hard": 0.926,
        "alpacaeval-length": 0.937,
        "mt-bench-easy": 1.0,
        "mt-bench-med": 0.925,
        "mt-bench-hard": 0.730,
        "llmbar-natural": 0.920,
        "llmbar-adver-GPTInst": 0.902,
        "llmbar-adver-neighbor": 0.761,
        "llmbar-adver-manual": 0.652,
        "llmbar-adver-GPTOut": 0.596,
        "refusals-dangerous": 0.950,
        "refusals-offensive": 0.985,
        "xstest-should-refuse": 1.0,
        "xstest-should-respond": 0.804,
        "donotanswer": 0.824,
        "math-prm": 0.985,
        "hep-cpp": 0.921,
        "hep-go": 0.909,
        "hep-java": 0.890,
        "hep-js": 0.909,
        "hep-python": 0.927,
        "hep-rust": 0.848,
    }
    sections = {"chat": 93.58, "chat-hard": 79.39, "safety": 89.26, "reasoning": 94.29}
    sizes = all_sets()["rewardbench"].sections

    def total(parts: dict[str, float]) -> float:
        return sum(weight * parts[name] for name, weight in section_weights(sizes, parts).items())

    for section, printed in sections.items():
        own = {k: v for k, v in subsets.items() if k in sizes[section]}
        assert 100 * total(own) == pytest.approx(printed, abs=0.03)
    assert 100 * total(subsets) == pytest.approx(89.13, abs=0.015)


def noisy(items: list[Item]) -> dict[str, Verdict]:
    """Labels by hash, right more often than not; scores that follow the gold with noise."""
    found = {}
    for item in items:
        lot = random.Random(item.sample.id)
        scale, name = item.criterion.scale, item.sample.id
        if scale.kind == "ordinal":
            value = min(5.0, max(1.0, float(item.gold) + lot.gauss(0, 1)))
            found[name] = Verdict(id=name, label=str(round(value)), score=value)
        else:
            right = lot.random() < 0.7
            others = [label for label in scale.labels if label != item.gold]
            found[name] = Verdict(id=name, label=str(item.gold) if right else lot.choice(others))
    return found


@pytest.mark.parametrize("name", ["felm", "halueval_general", "aggrefact_parts"])
def test_balanced_accuracy_is_that_of_scikit_learn(bench_data, name: str) -> None:
    items = items_of(bench_data, name)
    verdicts = noisy(items)
    parts = defaultdict(list)
    for item in items:
        parts[item.part].append((str(item.gold), verdicts[item.sample.id].label))
    each = [metrics.balanced_accuracy_score(*zip(*p, strict=True)) for p in parts.values()]
    pooled = metrics.balanced_accuracy_score(
        [str(i.gold) for i in items], [verdicts[i.sample.id].label for i in items]
    )
    one = all_sets()[name]
    expected = np.mean(each) if one.combine == "mean" else pooled
    assert score(one, items, verdicts).figure.value == pytest.approx(expected)


def test_what_papers_report_beside_the_figure(bench_data) -> None:
    lot = random.Random(3)
    for name in ("felm", "rewardbench"):
        one, items = all_sets()[name], items_of(bench_data, name)
        labels = items[0].criterion.scale.labels
        said = {i.sample.id: lot.choice(labels) for i in items}
        found = score(one, items, {k: Verdict(id=k, label=v) for k, v in said.items()})
        golds, given = [str(i.gold) for i in items], [said[i.sample.id] for i in items]
        if name == "felm":
            rare = min(labels, key=golds.count)
            expected = metrics.f1_score(golds, given, pos_label=rare)
            assert found.others[f"F1 of {rare}"].value == pytest.approx(expected)
            plain = metrics.accuracy_score(golds, given)
            assert found.others["accuracy"].value == pytest.approx(plain)
            continue
        parts = {part: figure.value for part, figure in found.parts.items()}
        assert list(found.others) == list(all_sets()[name].sections)
        sections = []
        for section, counts in all_sets()[name].sections.items():
            have = {part: n for part, n in counts.items() if part in parts}
            mean = sum(n * parts[p] for p, n in have.items()) / sum(have.values())
            assert found.others[section].value == pytest.approx(mean)
            sections.append(mean)
        assert found.figure.value == pytest.approx(np.mean(sections))


def test_summeval_is_the_mean_over_articles_of_spearman(bench_data) -> None:
    """Fabbri et al. 2021: per dimension and article, over its 16 systems; then means."""
    one = all_sets()["summeval"]
    items = items_of(bench_data, "summeval")
    verdicts = noisy(items)
    table: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(set_path(bench_data, one), "rt") as file:  # type: ignore[arg-type]
        for row in map(json.loads, file):
            given = verdicts[row["id"]].score
            table[row["source"]][row["group"]].append((given, row["label"]))  # type: ignore[arg-type]
    dimensions = []
    for articles in table.values():
        assert len(articles) == 100
        assert all(len(pairs) == 16 for pairs in articles.values())
        varied = [p for p in articles.values() if len({gold for _, gold in p}) > 1]
        dimensions.append(np.mean([stats.spearmanr(p)[0] for p in varied]))
    found = score(one, items, verdicts)
    assert found.figure.value == pytest.approx(np.mean(dimensions))


def test_pearson_is_that_of_scipy(bench_data) -> None:
    items = items_of(bench_data, "mt_bench")
    verdicts = noisy(items)
    scores = [verdicts[i.sample.id].score for i in items]
    expected = stats.pearsonr(scores, [float(i.gold) for i in items])[0]  # type: ignore[arg-type]
    found = score(all_sets()["mt_bench"], items, verdicts)
    assert found.figure.value == pytest.approx(expected)


def test_ceilings_follow_from_the_data(bench_data) -> None:
    """LFQA: experts split on pairs they share. CRAFT-MD: two experts agree on 153 of 180."""
    pairs = defaultdict(list)
    for item in items_of(bench_data, "lfqa"):
        s = item.sample
        first, second = sorted([s.response_a or "", s.response_b or ""])
        better = s.response_a if item.gold == "A" else s.response_b
        pairs[s.instruction, first, second].append(better == first)
    best = sum(max(Counter(votes).values()) for votes in pairs.values())
    assert len(pairs) == 140
    assert round(best / 260, 3) == all_sets()["lfqa"].ceiling
    agree = asked = 0
    with gzip.open(set_path(bench_data, all_sets()["craft_md"]), "rt") as file:  # type: ignore[arg-type]
        for row in map(json.loads, file):
            given = [v for v in (row["annotators"] or {}).values() if v is not None]
            if len(given) >= 2:
                asked += 1
                agree += given[0] == given[1]
    assert (agree, asked) == (153, 180)
    assert all_sets()["craft_md"].ceiling == pytest.approx(agree / asked)


def test_published_rows_pass_their_checksums() -> None:
    """Means over the 11 sets and over the three groups, as the report prints them."""
    eleven = [
        *("mt_bench", "flask", "biggen_bench"),
        *("rewardbench", "lfqa", "hhh_alignment", "eval_bias_bench", "instrusum", "auto_j"),
        *("infobench", "llm_aggrefact"),
    ]
    printed = {
        "Selene 1 Mini (8B)": (0.756, 0.753),
        "SFR-Judge 8B": (0.749, 0.750),
        "GPT-4o-mini": (0.743, 0.735),
        "Llama-3.1-8B-Instruct": (0.660, 0.653),
        "Prometheus-2-7B": (0.519, 0.562),
    }
    for judge, (tasks, benchmarks) in printed.items():
        values = [published()[judge].figures[name] for name in eleven]
        groups = [np.mean(values[:3]), np.mean(values[3:9]), np.mean(values[9:])]
        assert np.mean(groups) == pytest.approx(tasks, abs=0.002)
        assert np.mean(values) == pytest.approx(benchmarks, abs=0.002)
