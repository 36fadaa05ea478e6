"""A folder of parts: what is written is read again, wherever it lies, and what is damaged says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.errors import LedgerError, UsageError
from mene.runs.parts import remote, storage
from mene.runs.parts.index import contents_of, index_of
from mene.runs.parts.manifest import (
    Manifest,
    Part,
    add_sums,
    check_folder,
    load,
    parts_in,
    save,
    sums,
)
from mene.runs.parts.part import contents_in, parse_part, read_lines_of, write_part
from mene.runs.read_ledger import read_verdicts
from mene.runs.summary import Summary
from mene.verdict import Usage, Verdict

FORMS = ("parquet", "jsonl")


def verdict(number: int = 1, **more) -> Verdict:
    fields = {
        "id": f"r{number}",
        "criterion": "c",
        "judge": "j",
        "key": f"{number:032x}",
        "row": number,
    }
    fields |= {
        "content": f"{number:016x}",
        "label": "Yes",
        "probabilities": {"Yes": 0.75, "No": 0.25},
    }
    return Verdict(**{**fields, "confidence": 0.75, **more})


def manifest(**more) -> Manifest:
    fields = {
        "mene": "1",
        "judge": "j",
        "criteria": {"c": ""},
        "run": "r",
        "files": ["a.jsonl"],
        "rows": [2],
    }
    return Manifest(**{**fields, **more})


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=8)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_a_part_says_what_was_written(tmp_path_factory, texts) -> None:
    folder = tmp_path_factory.mktemp("parts")
    given_ = [
        verdict(n, id=name, critique=critique or None, usage=Usage(prompt_tokens=n))
        for n, (name, critique) in enumerate(texts, start=1)
    ]
    for form in FORMS:
        path = str(folder / f"part.{form}")
        size = write_part(path, given_, form)
        assert size == Path(path).stat().st_size
        assert parse_part(path, read_lines_of(path)) == given_
        assert contents_in(path) == [one.content for one in given_]


@pytest.mark.parametrize("form", FORMS)
def test_a_part_that_was_cut_is_named(tmp_path, form) -> None:
    path = tmp_path / f"part.{form}"
    write_part(str(path), [verdict(n) for n in range(1, 9)], form)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LedgerError, match=r"part\.\w+: this part is damaged .* run the same"):
        read_lines_of(str(path))
    path.unlink()
    with pytest.raises(LedgerError, match="this part is gone"):
        read_lines_of(str(path))


def test_a_parquet_part_can_be_queried(tmp_path) -> None:
    import polars

    path = str(tmp_path / "part.parquet")
    write_part(path, [verdict(1), verdict(2, label=None, confidence=None, error="no")], "parquet")
    frame = polars.read_parquet(path)
    assert frame["label"].to_list() == ["Yes", None]
    assert frame["error"].to_list() == [None, "no"]
    assert contents_in(path) == [f"{1:016x}", ""]  # what failed answers nothing


def test_a_folder_is_read_as_one_ledger_in_the_order_of_the_tables(tmp_path) -> None:
    parts = []
    for file, first, rows in ((1, 0, 2), (0, 2, 1), (0, 0, 2)):
        name = f"part-{file:05}-{first:010}-aa.jsonl"
        made = [verdict(first + n + 1, id=f"{file}/{first + n}") for n in range(rows)]
        size = write_part(str(tmp_path / name), made, "jsonl")
        parts.append(Part(name=name, file=file, first=first, rows=rows, mark="aa", size=size))
    save(str(tmp_path), manifest(files=["a", "b"], rows=[3, 2], parts=parts))
    found = list(read_verdicts(tmp_path))
    assert [v.id for v in found] == ["0/0", "0/1", "0/2", "1/0", "1/1"]
    assert [v.row for v in found] == [1, 2, 3, 4, 5]


def test_a_folder_of_something_else_is_said(tmp_path) -> None:
    with pytest.raises(LedgerError, match=r"is a folder without manifest.json"):
        list(read_verdicts(tmp_path))
    (tmp_path / "manifest.json").write_text('{"mene": "1"')
    with pytest.raises(LedgerError, match="not a manifest of mene"):
        list(read_verdicts(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "my-app"}))
    with pytest.raises(LedgerError, match='field "mene"'):
        load(str(tmp_path))


def test_a_manifest_of_another_run_is_refused(tmp_path) -> None:
    assert check_folder(str(tmp_path), "j", {"c": ""}) is None
    save(str(tmp_path), manifest())
    for more in ({}, {"d": ""}):
        assert check_folder(str(tmp_path), "j", {"c": "", **more}) == manifest()
    for judge, criteria in (("k", {"c": ""}), ("j", {"d": ""}), ("j", {"c": "Is it?"})):
        with pytest.raises(LedgerError, match="holds the verdicts of j on “c”, .* another folder"):
            check_folder(str(tmp_path), judge, criteria)


def test_sums_of_parts_are_those_of_a_run() -> None:
    verdicts = [verdict(n, label="Yes" if n % 3 else "No", score=float(n)) for n in range(1, 10)]
    whole, added = Summary(), Summary()
    for start in (0, 4):
        part = Summary(rows=len(verdicts[start : start + 4 or None]))
        some = verdicts[:4] if start == 0 else verdicts[4:]
        part = Summary(rows=len(some), judged=len(some))
        for one in some:
            part.add(one)
            part.spend(Usage(prompt_tokens=3))
            whole.add(one)
            whole.spend(Usage(prompt_tokens=3))
        add_sums(added, json.loads(json.dumps(sums(part))))
    whole.rows = whole.judged = 9
    assert added == whole
    again = Summary()
    add_sums(again, sums(whole), reused=True)
    assert (again.reused, again.judged, again.usage.prompt_tokens) == (9, 0, 0)
    assert again.labels == whole.labels


def test_the_index_finds_verdicts_by_content(tmp_path) -> None:
    paths = []
    for part, rows in enumerate(((1, 2), (3, 2, 4))):
        paths.append(str(tmp_path / f"part-{part}.parquet"))
        write_part(paths[-1], [verdict(n, id=f"{part}:{n}") for n in rows], "parquet")
    index = index_of(paths, [contents_of(path) for path in paths])
    assert [v.id for v in index.verdicts([f"{2:016x}"])] == ["0:2", "1:2"]
    assert list(index.verdicts([f"{9:016x}", ""])) == []
    Path(paths[0]).unlink()  # since it was indexed
    assert {v.id for v in index.verdicts([f"{4:016x}"])} == {"1:4"}
    assert list(index_of([], []).verdicts([f"{2:016x}"])) == []
    assert index.contents.dtype == np.uint64


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path) -> str:
    """A folder on the disk, and one in a store that fsspec reaches."""
    if request.param == "disk":
        return str(tmp_path)
    pytest.importorskip("fsspec")
    return f"memory://{tmp_path.name}"


def test_files_are_the_same_wherever_they_lie(place) -> None:
    storage.make_folder(place)
    path = storage.joined(place, "part-1.jsonl")
    assert storage.read_bytes(path) is None
    storage.write_bytes(path, b"one\n")
    storage.write_bytes(path, b"two\n")
    assert storage.read_bytes(path) == b"two\n"
    assert parts_in(place) == {"part-1.jsonl": 4}
    with storage.local_copy(path) as copy:
        assert Path(copy).read_bytes() == b"two\n"
    target = storage.joined(storage.joined(place, "earlier"), "part-1.jsonl")
    storage.move(path, target)
    assert parts_in(place) == {}
    assert storage.read_bytes(target) == b"two\n"
    storage.remove(target)
    storage.remove(target)
    assert storage.read_bytes(target) is None


def test_a_path_a_folder_and_a_pattern_name_tables(place) -> None:
    for name in ("a.jsonl", "b.csv.gz", "notes.txt", ".hidden.jsonl", "deep/c.parquet"):
        if "://" not in place:
            (Path(place) / name).parent.mkdir(exist_ok=True)
        storage.write_bytes(storage.joined(place, name), b"x")

    def names(given: str) -> list[str]:
        found = storage.expand(
            storage.joined(place, given) if given else place, (".jsonl", ".csv", ".parquet")
        )
        return [
            path.replace("\\", "/").partition(place.partition("://")[2] or place)[2].lstrip("/")
            for path in found
        ]

    assert names("") == ["a.jsonl", "b.csv.gz", "deep/c.parquet"]
    assert names("a.jsonl") == ["a.jsonl"]
    assert names("*.jsonl") == ["a.jsonl"]
    assert names("**/*.parquet") == ["deep/c.parquet"]
    storage.write_bytes(storage.joined(place, "q[1].jsonl"), b"x")
    assert names("q[1].jsonl") == ["q[1].jsonl"]
    storage.remove(storage.joined(place, "q[1].jsonl"))
    assert names("[ab].*") == ["a.jsonl", "b.csv.gz"]
    with pytest.raises(UsageError, match="no file has such a name; check the pattern"):
        names("*.tsv")
    with pytest.raises(UsageError, match="no such file"):
        names("missing.jsonl")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation", "set the credentials"),
        (
            "AWS Error INVALID_ACCESS_KEY_ID: The AWS Access Key Id does not exist",
            "set the credentials",
        ),
        ("google::cloud::Status(UNAUTHENTICATED: no credentials)", "set the credentials"),
        ("AWS Error NO_SUCH_BUCKET: The specified bucket does not exist", "check the bucket"),
        ("curlCode: 28, Timeout was reached", "try again"),
    ],
)
def test_what_a_store_says_comes_with_a_next_step(said, hint) -> None:
    with pytest.raises(UsageError, match=f"s3://b/x: .*; {hint}"), remote.told("s3://b/x"):
        raise OSError(said)


def test_an_unknown_kind_of_address_is_one_line() -> None:
    with pytest.raises(UsageError, match="neither pyarrow nor fsspec can read it"):
        storage.read_bytes("nosuch://bucket/a")


@given(
    st.lists(st.sampled_from(["a", "b.c", "/", "*", "**/", "?", "+", "[", "[!a]"]), max_size=6).map(
        "".join
    )
)
def test_patterns_are_regular_expressions(pattern) -> None:
    made = remote.pattern(pattern)
    assert re.compile(made)
    if not any(sign in pattern for sign in "*?]"):
        assert re.fullmatch(made, pattern)


def test_a_manifest_whose_parts_are_of_no_table_is_one_line(tmp_path) -> None:
    part = {"name": "p", "file": 0, "first": 0, "rows": 1, "mark": "m", "size": 1}
    data = manifest().model_dump() | {"parts": [part], "files": [], "rows": []}
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(LedgerError, match=r"a part is of no table in files; give another folder"):
        load(str(tmp_path))
