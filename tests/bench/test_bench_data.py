"""Benchmark files and samples of them: damage is named, samples are seeded and nested."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.bench.data import Item, data_folder, read_set, stratified
from mene.bench.run import slug
from mene.bench.sets import all_sets, find_sets, suite_names
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.events import Event, Warn
from mene.sample import Sample

HHH = all_sets()["hhh_alignment"]


def folder_of(tmp_path: Path, rows: list, checksum: str | None = None) -> Path:
    path = tmp_path / "hhh_alignment.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {"hhh_alignment": {"sha256": checksum or found}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


ROW = {"id": "1", "instruction": "?", "response_a": "a", "response_b": "b", "label": "A"}


def test_a_set_is_read_and_its_faults_are_named(tmp_path) -> None:
    folder = folder_of(tmp_path, [ROW])
    assert read_set(folder, HHH)[0].gold == "A"
    for rows, checksum, message in (
        ([ROW], "0" * 64, "SHA-256"),
        ([{**ROW, "label": "C"}], None, r'line 1: label "C" is not on the scale A/B'),
        ([ROW, ROW], None, "1 rows have the id of another row"),
        ([], None, "empty; download the file again"),
        ([[1]], None, "line 1: not a JSON object"),
    ):
        with pytest.raises(UsageError, match=message):
            read_set(folder_of(tmp_path, rows, checksum), HHH)
    (tmp_path / "hhh_alignment.jsonl.gz").write_bytes(b"\x1f\x8b torn")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="damaged"):
        read_set(tmp_path, HHH)
    for text in ("{", "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UsageError, match=r"manifest\.json: damaged"):
            read_set(tmp_path, HHH)


def test_a_set_that_the_manifest_does_not_name_is_read_and_said(tmp_path) -> None:
    folder = folder_of(tmp_path, [ROW])
    (folder / "manifest.json").write_text('{"felm": {"sha256": "0"}}')
    said: list[Event] = []
    assert len(read_set(folder, HHH, said.append)) == 1
    [warned] = said
    assert isinstance(warned, Warn) and "manifest.json does not list it" in warned.text
    assert "--get hhh_alignment" in warned.text


def test_a_missing_folder_says_where_to_look(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MENE_DATA", raising=False)
    with pytest.raises(UsageError, match="--data or MENE_DATA"):
        data_folder(None)
    with pytest.raises(UsageError, match="no benchmark files here"):
        data_folder(tmp_path)


def test_suites() -> None:
    assert len(find_sets("selene11")) == 11
    assert suite_names() == ["selene11", "domain", "extended"]
    with pytest.raises(UsageError, match='did you mean "selene11"'):
        find_sets("selen11")
    for one in all_sets().values():
        assert one.source
        assert one.home


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 80))
@settings(max_examples=60)
def test_samples_are_in_proportion_and_nested(parts: list[str], limit: int) -> None:
    criterion = load_criterion("preference")
    items = [
        Item(Sample(id=str(i)), criterion, "A", str(i), "A", part) for i, part in enumerate(parts)
    ]
    few, more = stratified(items, limit), stratified(items, limit + 5)
    assert few == stratified(items, limit)
    assert len(few) == min(limit, len(items))
    assert {i.sample.id for i in few} <= {i.sample.id for i in more}
    have, all_ = Counter(i.part for i in few), Counter(parts)
    for part, count in all_.items():
        assert abs(have[part] - count * len(few) / len(items)) <= 1


def test_a_judges_name_is_a_safe_folder() -> None:
    assert slug("openai:m@http://h/v1") == "openai_m_http_h_v1"
    assert slug("../..") == "judge"
