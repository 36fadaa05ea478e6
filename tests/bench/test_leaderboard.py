"""The leaderboard: ours beside published figures, and never mixed up."""

from __future__ import annotations

import json
import re

import pytest

from mene.bench.leaderboard.markdown import markdown
from mene.bench.leaderboard.page import page
from mene.bench.leaderboard.results import group_means, read_results
from mene.errors import UsageError


def figure(value: float) -> dict:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}


def entry(value: float, complete: bool = True, failed: int = 0, **more: object) -> dict:
    return more | {
        "figure": figure(value),
        "chance": 0.5,
        "baselines": {"majority": 0.5, "longer": 0.63},
        "complete": complete,
        "failed": failed,
        "rows": 100,
        "rows_per_second": 2.0,
        "bins": [
            {"low": 0.5, "high": 0.6, "count": 100, "confidence": 0.55, "accuracy": value},
        ],
    }


@pytest.fixture
def results(tmp_path):
    for judge, sets in (
        ("one", {"hhh_alignment": entry(0.7), "lfqa": entry(0.5)}),
        ("<two>", {"hhh_alignment": entry(0.6, failed=3), "lfqa": entry(0.9, complete=False)}),
    ):
        folder = tmp_path / judge.strip("<>")
        folder.mkdir()
        said = {"judge": judge, "runs": {"verdict": sets}, "warning": f"{judge} is small."}
        (folder / "summary.json").write_text(json.dumps(said))
    probe = {
        "rows": 40,
        "figures": {"base": figure(0.5), "xml": figure(0.6)},
        "flips": {"xml": figure(0.25)},
        "mean": 0.55,
        "sd": 0.07,
        "widest": 0.1,
        "flip_rate": figure(0.25),
    }
    sway = {"kind": "authority", "flips": figure(0.3), "towards": figure(0.2), "away": None}
    for kind, found in (("robustness", probe), ("bias", {"rows": 40, "changes": [sway]})):
        said = {"judge": "one", "runs": {"verdict": {"hhh_alignment": found}}, "warning": ""}
        (tmp_path / "one" / f"{kind}.json").write_text(json.dumps(said))
    return tmp_path


def test_markdown_marks_samples_failures_and_missing_sets(results) -> None:
    text = markdown(read_results(results))
    hhh = next(line for line in text.splitlines() if line.startswith("| HHH"))
    assert "70.0 [60.0, 80.0]" in hhh
    assert "60.0 [50.0, 70.0] (3 failed)" in hhh
    assert "90.0†" in hhh  # Selene Mini's, the better of both orders
    assert "(sample of 100)" in next(s for s in text.splitlines() if s.startswith("| LFQA"))
    assert "not run" in next(s for s in text.splitlines() if s.startswith("| RewardBench"))
    assert "mean 0.600 of the 2 of 6 sets that are whole" in text
    assert "one is small." in text


def test_a_sample_never_enters_a_mean(results) -> None:
    two, one = read_results(results)
    by_name = {e.judge: group_means(e)["pairwise"] for e in (one, two)}
    assert by_name["one"] == (pytest.approx(0.6), 2, 6)
    assert by_name["<two>"] == (pytest.approx(0.6), 1, 6)


def board(tmp_path, **judges: dict) -> list:
    for judge, sets in judges.items():
        (tmp_path / judge).mkdir()
        said = {"judge": judge, "runs": {"verdict": sets}, "warning": ""}
        (tmp_path / judge / "summary.json").write_text(json.dumps(said))
    return read_results(tmp_path)


def test_part_of_a_published_set_never_enters_a_mean(tmp_path) -> None:
    part, whole = entry(0.9, set_rows=2528), entry(0.9, set_rows=2985)
    lfqa = entry(0.5, set_rows=260)
    entries = board(
        tmp_path,
        part={"rewardbench": part, "lfqa": lfqa, "aggrefact_parts": entry(0.6, set_rows=7313)},
        whole={"rewardbench": whole, "lfqa": lfqa},
    )
    assert group_means(entries[0]) == {"pairwise": (pytest.approx(0.5), 1, 6)}
    assert group_means(entries[1]) == {"pairwise": (pytest.approx(0.7), 2, 6)}
    assert "89.1‡" in markdown(entries)
    assert "89.1‡" not in markdown(entries[1:])
    assert "89.1" in markdown(entries[1:])


def test_the_whole_of_a_set_takes_the_place_of_its_part(tmp_path) -> None:
    entries = board(tmp_path, a={"llm_aggrefact": entry(0.6, set_rows=29320)})
    text = markdown(entries)
    (row,) = [line for line in text.splitlines() if line.startswith("| LLM-AggreFact")]
    assert "60.0 [50.0, 70.0]" in row
    assert "77.8§ " in row  # accuracy there, balanced accuracy here; and no part of it
    assert group_means(entries[0])["classification"] == (pytest.approx(0.6), 1, 2)
    assert "77.8§" in page(entries)


def test_other_rows_are_said(tmp_path) -> None:
    a = entry(0.6, rows_key="a", ece=figure(0.2), consistency=figure(0.4), longer=[0.6, 0.5])
    b = entry(0.7, rows_key="b") | {"rows": 2000, "baselines": {"majority": 0.9, "longer": 0.1}}
    entries = board(tmp_path, a={"hhh_alignment": a}, b={"hhh_alignment": b})
    text = markdown(entries)
    assert "60.0 [50.0, 70.0] (100 rows) | 70.0 [60.0, 80.0] (2,000 rows)" in text
    assert "50.0 / 90.0 / 10.0 (chance / majority / longer; 2,000 rows)" in text
    assert (
        "| HHH alignment | a, verdict | 20.0 [10.0, 30.0] | 40.0 [30.0, 50.0] |  | 60 / 50 |"
        in text
    )
    assert "ECE 0.20, orders agree 40 %" in page(entries)


def test_sources_of_single_figures_are_named(results) -> None:
    text = markdown(read_results(results))
    assert (
        "RewardBench: RewardBench, pull request 214; FinanceBench, CRAFT-MD: Selene 1 Mini" in text
    )


def test_the_page_is_self_contained_and_escaped(results) -> None:
    text = page(read_results(results))
    assert "&lt;two&gt;" in text
    assert "<two>" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<svg") >= 5


def test_the_page_says_why_a_set_has_a_ceiling(results) -> None:
    assert re.search(
        r"; ceiling \d\d\.\d \(experts split on 23 of 80 pairs", page(read_results(results))
    )


def test_no_results_says_what_to_run(tmp_path) -> None:
    with pytest.raises(UsageError, match="run `mene bench"):
        read_results(tmp_path)
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "summary.json").write_text("{torn")
    with pytest.raises(UsageError, match="the verdicts are kept"):
        read_results(tmp_path)
    half = {"judge": "j", "runs": {"verdict": {"hhh_alignment": {"rows": 3}}}}
    (tmp_path / "j" / "summary.json").write_text(json.dumps(half))
    with pytest.raises(UsageError, match="hhh_alignment has no .*complete"):
        read_results(tmp_path)


def test_probes_are_on_the_board_also_of_a_judge_that_ran_nothing_else(results) -> None:
    (results / "one" / "summary.json").unlink()
    entries = read_results(results)
    text = markdown(entries)
    assert "| one, verdict | HHH alignment | 40 | 55.0 | 7.0 | 10.0 | 25.0 [15.0, 35.0] |" in text
    assert "| one, verdict | HHH alignment | 40 | authority | 30.0 [20.0, 40.0] |" in text
    html = page(entries)
    assert "2 formats, 0.50 to 0.60" in html
    assert "authority" in html
