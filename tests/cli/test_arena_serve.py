"""``mene arena serve``: what it refuses before it opens anything, and the judges' names."""

from __future__ import annotations

import json

import pytest

from mene.cli.arena_given import facts_of, origin_of, presets_of, prices_of, weights_of
from mene.errors import UsageError

TWO = ("--judge", "nano,nano-base")
REFUSED = {
    ("--judge", "nano"): "two judges or more",
    (): "two judges or more",
    ("--judge", "nano,nothing"): 'no judge "nothing"',
    (*TWO, "--host", "0.0.0.0"): "--api-key FILE",
    (*TWO, "--tls-cert", "x.pem"): "--tls-key",
    (*TWO, "--public-url", "arena.example.org"): "write it like https://arena.example.org",
    (*TWO, "--public-url", "https://example.org/arena"): "a host of its own",
    (*TWO, "--price", "nano=1"): "--price nano=1: write it like",
    (*TWO, "--price", "base=1/2"): 'no judge "base" in this arena',
    (*TWO, "--weight", "nano=often"): "--weight nano=often",
    (*TWO, "--price", "nano=1/2", "--price", "nano=3/4"): "--price: nano is given two values",
    (*TWO, "--weight", "nano=1", "--weight", "nano=2"): "--weight: nano is given two values",
    (*TWO, "--criterion", "tone"): "name the file",
    (*TWO, "--samples", "rows.jsonl"): "say by which --criterion",
    (*TWO, "--samples", "rows.jsonl", "-c", "tone"): "rows.jsonl",
    (*TWO, "--terms", "none.txt"): "none.txt: cannot read the terms",
    (*TWO, "--admin-key", "none.txt"): "none.txt: cannot read the keys",
    (*TWO, "--results", "none"): "no results here",
}


@pytest.mark.parametrize("given", REFUSED)
def test_what_it_cannot_do_is_one_line(here, tmp_path, monkeypatch, given) -> None:
    monkeypatch.chdir(tmp_path)
    done = here("arena", "serve", "--port", "0", *given)
    assert done.returncode == 2
    assert REFUSED[given] in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())  # no database either


def test_a_judge_under_another_name() -> None:
    served, nano = presets_of("my server=openai:some=model@http://127.0.0.1:1/v1, nano")
    assert (served.name, nano.name) == ("my server", "nano")
    assert served.weights.served == "some=model" and served.weights.url == "http://127.0.0.1:1/v1"


def test_urls_prices_and_weights() -> None:
    assert origin_of("https://Arena.example.org/") == "https://arena.example.org"
    assert origin_of(None) == ""
    names = ["nano", "base"]
    assert weights_of(["nano=2", "base=0"], names) == {"nano": 2.0, "base": 0.0}
    assert prices_of(["nano=0/0.5"], names)["nano"].written == 0.5
    with pytest.raises(UsageError, match="0 .*to 1000"):
        weights_of(["nano=-1"], names)


def test_agreement_with_people_comes_from_results(tmp_path) -> None:
    figure = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 200}
    said = {
        "figure": figure, "rows": 200, "complete": True, "failed": 0, "chance": 0.5, "baselines": {}, "rows_per_second": 3,
    }  # fmt: skip
    for judge in ("nano", "other"):
        home = tmp_path / judge
        home.mkdir()
        summary = {"judge": judge, "runs": {"verdict": {"llm_aggrefact": said}}}
        (home / "summary.json").write_text(json.dumps(summary))
    [(name, facts)] = facts_of(tmp_path, ["nano", "base"]).items()
    assert name == "nano"
    assert facts["bench"] == [
        {"set": "LLM-AggreFact, verdict", "value": 0.75, "low": 0.7, "high": 0.8, "n": 200}
    ]
