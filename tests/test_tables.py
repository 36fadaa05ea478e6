"""Tables: every format, and every kind of bad row."""

from __future__ import annotations

import gzip
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.errors import UsageError
from mene.tables import columns, count_rows, has_field, read_rows

ROWS = [{"id": "a", "response": "eins"}, {"id": "b", "response": 'zwei, "drei"\nvier'}]


def write(path, rows=ROWS):
    import polars

    kind = path.name.split(".", 1)[1]
    if kind == "parquet":
        polars.DataFrame(rows).write_parquet(path)
        return path
    text = {
        "jsonl": lambda: "".join(json.dumps(r) + "\n" for r in rows),
        "json": lambda: json.dumps(rows),
        "csv": lambda: polars.DataFrame(rows).write_csv(),
        "tsv": lambda: polars.DataFrame(rows).write_csv(separator="\t"),
    }[kind.removesuffix(".gz")]()
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz"])
def test_every_format_gives_the_same_samples(tmp_path, kind) -> None:
    path = str(write(tmp_path / f"t.{kind}"))
    rows = list(read_rows(path))
    assert [(r.sample.id, r.sample.response) for r in rows] == [
        (r["id"], r["response"]) for r in ROWS
    ]
    assert count_rows(path) in (2, None)


def test_bad_lines_are_named_and_the_rest_goes_on(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + b'{"response": "good"}\n'
        b"\n"
        b'{"response": \n'
        b"[1]\n"
        b'{"response": NaN}\n'
        b'{"response": "\xff"}\n'
        b'{"response": "\\ud83d"}\n'
        b'{"response": {"a": 1}}\n' + b'{"response": "' + b"x" * 5_000_000 + b'"}\n'
        b'{"response": "last, without line end"}'
    )
    rows = list(read_rows(str(path)))
    assert [r.sample is not None for r in rows] == [True] + [False] * 6 + [True, True]
    expected = [
        "line 3: broken JSON", "line 4: expected a JSON object", "line 5: broken JSON: NaN",
        "line 6: not valid UTF-8 (byte 0xff", 'line 7: field "response" has a lone surrogate',
        'line 8: field "response" is an object',
    ]  # fmt: skip
    for row, text in zip(rows[1:7], expected, strict=True):
        assert text in row.error
        assert row.error.startswith(str(path))
    assert len(rows[7].sample.response) == 5_000_000
    assert [rows[0].sample.id, rows[-1].sample.id] == ["1", "9"]


def test_bad_csv_rows(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,response\n1,good\n2,a,b,c\n3,\xff\n4\n5,"' + b"y" * 200_000 + b'"\n')
    rows = list(read_rows(str(path)))
    assert [r.error is None for r in rows] == [True, False, False, True, True]
    assert "more cells" in rows[1].error
    assert 'field "response" is not valid UTF-8' in rows[2].error
    assert rows[3].sample.response is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b"", "no rows"),
        ("t.jsonl", b"\n\n", "no rows"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.txt", b"x", "cannot tell the format"),
        ("t.json", b"{", "not valid JSON"),
        ("t.json", b"{}", "expected a JSON list"),
        ("t.parquet", b"nonsense", "cannot read the Parquet"),
        ("t.jsonl.gz", b"nonsense", "damaged gzip"),
    ],
)
def test_bad_files(tmp_path, name, content, message) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        list(read_rows(str(path)))


def test_missing_file() -> None:
    with pytest.raises(UsageError, match="No such file"):
        list(read_rows("nowhere.jsonl"))


@pytest.mark.parametrize(
    "text", ['{"response": "x"}\n', '[{"response": "x"}]', "id,response\n1,x\n"]
)
def test_standard_input_is_told_by_its_start(monkeypatch, text) -> None:
    class Stdin:
        buffer = io.BytesIO(text.encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert [r.sample.response for r in read_rows("-")] == ["x"]


def test_columns_and_fields(tmp_path) -> None:
    path = str(write(tmp_path / "t.csv", [{"question": "q", "text": "r"}]))
    found = columns(path)
    assert found == ["question", "text"]
    assert has_field("instruction", found)
    assert not has_field("response", found)
    assert has_field("response", found, {"response": "text"})


@given(st.lists(st.binary(max_size=40)))
def test_no_bytes_break_the_reader(tmp_path_factory, lines) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "t.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        for row in read_rows(str(path)):
            assert (row.sample is None) is (row.error is not None)
    except UsageError as error:
        assert "no rows" in str(error)
