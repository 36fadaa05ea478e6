"""Planted leaks are all found; ordinary text is not."""

from __future__ import annotations

import gzip
import json
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.curate.clean.decontaminate import (
    RUN,
    Index,
    Leak,
    Leaks,
    bench_texts,
    hashed,
    leak_of,
)
from mene.curate.clean.shingles import hashed_words, ngrams
from mene.curate.raw.sources import Point
from mene.errors import UsageError

WORDS = [f"{a}{b}" for a in "bdfglmnprst" for b in ("ana", "elo", "iru", "oma", "usti", "ax")]
CRITERION = Criterion(question="Is it good?", scale=Scale.binary())


def text(words: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(words))


def point(number: int, **fields: str) -> Point:
    sample = Sample(id=str(number), **fields)  # pyright: ignore[reportArgumentType]
    return Point(sample, CRITERION, "Yes", str(number), str(number), "set")


BENCH = [("bench", "context", text(120, n)) for n in range(40)]
INDEX = Index(hashed(BENCH))


def changed(words: str, seed: int) -> str:
    """One word in forty another one."""
    parts = words.split()
    chance = random.Random(seed)
    for place in range(chance.randrange(10), len(parts), 40):
        parts[place] = "changed"
    return " ".join(parts)


PLANTS = {
    "the same": lambda t, n: t,
    "other case and punctuation": lambda t, n: t.title().replace(" ", ",  ", 7) + "!",
    "a part of it": lambda t, n: " ".join(t.split()[20:80]),
    "inside a longer text": lambda t, n: f"{text(60, 900 + n)}. {t} {text(60, 950 + n)}",
    "some words changed": changed,
}


@pytest.mark.parametrize("how", PLANTS)
def test_every_planted_leak_is_found(how: str) -> None:
    removed = Leaks()
    dirty = [point(n, response=PLANTS[how](t, n)) for n, (_, _, t) in enumerate(BENCH)]
    fine = [point(100 + n, response=text(120, 1000 + n)) for n in range(40)]
    mixed = dirty + fine
    random.Random(0).shuffle(mixed)
    known = {}
    leaks = {p.id: leak_of(p, INDEX, known) for p in mixed}
    assert {p for p, leak in leaks.items() if leak is None} == {p.id for p in fine}
    for leak in filter(None, leaks.values()):
        removed.add(leak)
    assert sum(removed.dropped.values()) == 40
    assert len(removed.examples) < 12
    assert {e.bench for e in removed.examples} == {"bench"}


def test_any_field_of_a_sample_is_looked_at() -> None:
    leaked = BENCH[0][2]
    for key in ("instruction", "response", "response_a", "response_b", "context"):
        leak = leak_of(point(1, **{key: leaked}), INDEX, {})
        assert leak == Leak("1", "set", "exact", "bench", key, 1.0, leaked[:200])


def test_a_benchmarks_prompt_is_not_its_content() -> None:
    prompt = "Summarize the following news article in one sentence."
    own = "What did the tall man say to the bank?"
    rows = [("summaries", "instruction", prompt)] * 60 + [("pairs", "instruction", own)] * 2
    index = Index(hashed(rows))
    assert index.find(prompt) is None
    assert index.find(own) == ("exact", "pairs", 1.0)
    assert index.find("too short") is None


def test_a_shared_phrase_in_a_long_text_is_no_leak() -> None:
    phrase = " ".join(BENCH[0][2].split()[:RUN])
    assert INDEX.find(f"{text(200, 77)} {phrase} {text(200, 78)}") is None
    assert Index(hashed([])).find(BENCH[0][2]) is None


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60), st.integers(1, 20))
def test_equal_runs_of_words_have_equal_numbers(words: list[str], size: int) -> None:
    grams = ngrams(hashed_words(" ".join(words)), size)
    size = min(size, len(words))
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    assert len(grams) == len(runs)
    assert len(set(grams.tolist())) == len(set(runs))


def test_benchmarks_are_read_from_their_folder(tmp_path) -> None:
    with pytest.raises(UsageError, match="no benchmark files here"):
        list(bench_texts(tmp_path))
    row = {"instruction": "a", "response_a": "b", "label": "A", "rubric": {"x": 1}}
    with gzip.open(tmp_path / "one.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    assert list(bench_texts(tmp_path)) == [("one", "instruction", "a"), ("one", "response_a", "b")]
    (tmp_path / "two.jsonl.gz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(UsageError, match=r"two\.jsonl\.gz: damaged"):
        list(bench_texts(tmp_path))


def test_a_benchmark_with_corrupt_bits_is_damaged(tmp_path) -> None:
    rows = [json.dumps({"instruction": f"so it is {n}"}) for n in range(500)]
    whole = gzip.compress("\n".join(rows).encode())
    (tmp_path / "one.jsonl.gz").write_bytes(whole[:200] + bytes(200) + whole[400:])
    with pytest.raises(UsageError, match=r"one\.jsonl\.gz: damaged"):
        list(bench_texts(tmp_path))


def test_an_index_is_the_same_whoever_hashed_its_texts() -> None:
    texts = [*BENCH, *BENCH[:5], ("other", "context", BENCH[0][2]), ("other", "response", "short")]
    batches = [list(hashed(texts[start : start + 7])) for start in range(0, len(texts), 7)]
    parts = Index(pickle.loads(pickle.dumps(row)) for batch in batches for row in batch)
    asked = [BENCH[0][2], changed(BENCH[3][2], 1), text(120, 99), "short"]
    assert [parts.find(one) for one in asked] == [INDEX.find(one) for one in asked]
    assert parts.names == ["bench", "other"]
