"""What several tests of curation need."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import pytest

from mene.curate.raw.files import read_lines

# Set -> rows, and what a row must have.
KEPT = {
    "diasafety_train": (700, ""),
    "evouna_qa_correctness": (1500, ""),
    "faithdial_audit": (300, ""),
    "gptfuzz_refusal_train": (500, ""),
    "hh_rlhf_harmless": (500, ""),
    "q2_wow_consistency": (400, ""),
    "rm_bench": (900, '"source": "safety-'),
}
# The same of the sets that whole runs read.
READ = {
    "auto_j_single_train": (400, ""),
    "climate_fever": (600, ""),
    "hanna": (600, ""),
    "q2_wow_consistency": (400, ""),
    "saf_short_answer_train": (600, ""),
    "tldr_human": (300, ""),
}


@pytest.fixture(scope="session")
def small_raw(bench_data, tmp_path_factory) -> Path:
    """A folder with the first rows of the raw sets that generators read."""
    return _first(KEPT, bench_data, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def few_raw(bench_data, tmp_path_factory) -> Path:
    """A folder with the first rows of the raw sets that whole runs read."""
    return _first(READ, bench_data, tmp_path_factory.mktemp("few"))


def _first(sets: dict[str, tuple[int, str]], bench_data: Path, small: Path) -> Path:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    for name, (most, mark) in sets.items():
        rows = (line for line in read_lines(folder / f"{name}.jsonl.gz") if mark in line)
        with gzip.open(small / f"{name}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as file:
            file.writelines(islice(rows, most))
    return small
