"""Tables: every format, and every kind of bad row."""

from __future__ import annotations

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.cli.paths import check_input
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.runs.columns import has_field, lacking
from mene.runs.formats import columns, count_rows
from mene.runs.tables import read_rows

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
        b'{"response": Infinity, "score": NaN}\n'
        b'{"response": "\xff"}\n'
        b'{"response": "\\ud83d"}\n'
        b'{"response": "a", "response": "b"}\n' + b'{"response": "' + b"x" * 5_000_000 + b'"}\n'
        b'{"response": "last, without line end"}'
    )
    rows = list(read_rows(str(path)))
    assert [r.sample is not None for r in rows] == [True] + [False] * 6 + [True, True]
    expected = [
        "line 3: broken JSON", "line 4: expected a JSON object", 'line 5: field "response" is inf',
        "line 6: not valid UTF-8 (byte 0xff", 'line 7: field "response" has a lone surrogate',
        'line 8: broken JSON: the key "response" is given twice',
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
    assert [r.id for r in rows] == ["1", "2", "3", "4", "5"]


def test_a_broken_csv_row_keeps_its_id(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,response\na,"open\nb,good\nc,x,y\nd,\xff\ne,two,three,four\n')
    rows = list(read_rows(str(path)))
    assert [(r.id, r.sample is None) for r in rows] == [
        ("a", True), ("b", False), ("c", True), ("d", True), ("e", True),
    ]  # fmt: skip
    assert "1 more cell than" in rows[2].error
    assert "2 more cells than" in rows[4].error


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b"", "no rows"),
        ("t.jsonl", b"\n\n", "no rows"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.txt", b"x", "cannot tell the format"),
        ("t.json", b"[\n{", "line 2: not valid JSON"),
        ("t.json", b"[" * 100_000, "nested too deeply"),
        ("t.csv", b"a,response,a\nx,y,z\n", 'line 1: two columns are called "a"'),
        ("t.csv", b"response,\xff\nx,y\n", "line 1: the names of the columns: not valid UTF-8"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-40], "damaged gzip"),
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


class Drips(io.RawIOBase):
    """A pipe that brings one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        found = self.data.read(1)
        buffer[: len(found)] = found
        return len(found)


TABLES = {
    "jsonl": '{"response": "é", "id": "a"}\n{"response": "y"}\n',
    "json": '[{"response": "é", "id": "a"},\n {"response": "y"}]',
    "csv": "id,response\na,é\n,y\n",
    "tsv": "id\tresponse\na\té\n\ty\n",
    "semicolon.csv": 'id;"response"\na;é\n;"y"\n',
    "bar.csv": "id|response\r\na|é\r\n|y\r\n",
    "excel.csv": "sep=;\nid;response\na;é\n;y\n",
    "mac.csv": "id,response\ra,é\r,y\r",
}


@pytest.mark.parametrize("form", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("door", ["file", "pipe", "gzip", "packed pipe"])
def test_marks_encodings_and_delimiters_do_not_matter(
    tmp_path, monkeypatch, form, encoding, door
) -> None:
    data = TABLES[form].encode(encoding)
    path = tmp_path / f"t.{form}"
    if "pipe" in door:
        pipe = Drips(gzip.compress(data) if "packed" in door else data)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=pipe)))
        path = "-"
    elif door == "gzip":
        path = tmp_path / f"t.{form}.gz"
        path.write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)
    rows = list(read_rows(str(path)))
    assert [(r.id, r.sample and r.sample.response) for r in rows] == [("a", "é"), ("2", "y")]


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("answer\nDéjà vu, naïve\nplain\n", "latin-1", "seems to be Windows-1252"),
        ("answer\nIt’s 5 €\n", "cp1252", "seems to be Windows-1252"),
        ("answer\nПривет\n", "cp1251", "is not UTF-8: rows"),
        ("answer\nDéjà vu\n", "utf-8", ""),
        ("answer\nDéjà vu\n", "utf-16", ""),
        ("answer\nplain\n", "ascii", ""),
    ],
)
def test_another_encoding_is_said_once_up_front(tmp_path, capsys, text, encoding, said) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    check_input(str(path))
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == bool(said)
    path.write_bytes("answer\nDéjà vu\n".encode() + b"damaged \xe9\n")
    check_input(str(path))
    assert not capsys.readouterr().err


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        'id,response\na,fine\nb,"open\nc,also, fine?\nd,good\ne,"two\nlines"\nf,"x" y\ng,z\n'
    )
    rows = list(read_rows(str(path)))
    assert [r.id for r in rows if r.sample] == ["a", "d", "e", "g"]
    assert [r.error.split(":")[1] for r in rows if r.error] == [
        " broken CSV",
        " 1 more cell than there are columns",
        " broken CSV",
    ]
    assert "t.csv, line 3" in rows[1].where and "never closed" in rows[1].error
    assert "t.csv, line 8" in rows[5].where and "behind a closing quote" in rows[5].error
    assert count_rows(str(path)) == len(rows)


def test_an_open_quote_in_the_last_line(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('response\nx\n"y')
    good, bad = read_rows(str(path))
    assert good.sample and "line 3: broken CSV: a quote" in bad.error


def test_long_cells_everywhere(tmp_path) -> None:
    path = write(tmp_path / "t.csv", [{"id": "a", "response": "x" * 300_000 + '\n"y"'}])
    assert count_rows(str(path)) == 1
    assert columns(str(path)) == ["id", "response"]
    [row] = read_rows(str(path))
    assert len(row.sample.response) == 300_004


def test_what_grows_without_bounds_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mene.runs.source.UNPACKED", 1_000_000)
    monkeypatch.setattr("mene.runs.source.LONGEST_LINE", 10_000)
    bomb = tmp_path / "t.jsonl.gz"
    bomb.write_bytes(gzip.compress(b'{"response": "x"}\n' + b"0" * 5_000_000))
    for reads in (count_rows, lambda path: list(read_rows(path))):
        with pytest.raises(UsageError, match="unpacks to more than"):
            reads(str(bomb))
    for name in ("long.jsonl", "long.csv"):
        path = tmp_path / name
        start = b"" if name.endswith("jsonl") else b"response\n"
        path.write_bytes(start + b"0" * 50_000 + b'\n{"response": "x"}\n')
        rows = list(read_rows(str(path)))
        assert "a line of more than" in rows[0].error and len(rows) == 2


@pytest.mark.parametrize("levels", [60, 5_000, 200_000])
def test_deep_json_costs_one_row(tmp_path, levels) -> None:
    path = tmp_path / "t.jsonl"
    deep = "[" * levels + '"x"' + "]" * levels
    path.write_text(f'{{"response": {deep}}}\n{{"response": "x"}}\n{{"context": {deep}}}\n')
    first, second, third = read_rows(str(path))
    assert second.sample
    assert "nested too deeply" in (third.error or "")
    assert first.error is None or "nested too deeply" in first.error


def test_with_a_criterion_every_error_names_its_place(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"id": "a", "response": "", "context": Infinity, "score": NaN}\n'
        '{"id": "b", "response": null}\n{"id": "c", "response": Infinity}\n'
    )
    rows = list(read_rows(str(path), criterion=load_criterion("Polite?")))
    assert rows[0].error and 'line 1 (id a): field "context" is inf' in rows[0].error
    asked = load_criterion("Polite?").model_copy(update={"uses": ()})
    rows = list(read_rows(str(path), criterion=asked))
    assert [r.error is None for r in rows] == [True, False, False]
    assert [r.id for r in rows] == ["a", "b", "c"]
    assert 'line 2 (id b): field "response" is missing' in rows[1].error


def test_what_a_file_lacks(tmp_path) -> None:
    pairs = tmp_path / "t.jsonl"
    pairs.write_text('{broken\n{"question": "q", "response_a": "a", "response_b": "b"}\n')
    assert lacking(str(pairs), ("response",)) == (
        ["response"],
        ["question", "response_a", "response_b"],
    )
    assert lacking(str(pairs), ("instruction", "response_a"))[0] == []
    assert lacking(str(pairs), ("response",), {"response": "response_a"})[0] == []
    with pytest.raises(UsageError, match='no column "anser" .*did you mean "answer"'):
        write(tmp_path / "v.csv", [{"answer": "r"}])
        list(read_rows(str(tmp_path / "v.csv"), {"response": "anser"}))
    chats = tmp_path / "u.jsonl"
    chats.write_text('{"messages": []}\n')
    assert lacking(str(chats), ("instruction", "response"))[0] == []


def test_a_damaged_parquet_file(tmp_path) -> None:
    path = write(tmp_path / "t.parquet", [{"id": str(i), "response": f"x{i}"} for i in range(500)])
    data = bytearray(path.read_bytes())
    data[20:400] = b"\xff" * 380
    path.write_bytes(data)
    with pytest.raises(UsageError, match="cannot read the Parquet file"):
        list(read_rows(str(path)))


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
        assert any(w in str(error) for w in ("no rows", "damaged gzip", "is Parquet"))


ODD = [("Int64", "Datetime", ("us",)), ("Int64", "Datetime", ("us", "Europe/Berlin")), ("Int64", "Datetime", ("ms",)),
       ("Int64", "Duration", ("ms",)), ("Int32", "Date", ())]  # fmt: skip


@pytest.mark.parametrize(("number", "kind", "args"), ODD)
@pytest.mark.parametrize("listed", [False, True])
def test_a_date_that_python_does_not_have_costs_its_own_value(
    tmp_path, number, kind, args, listed
) -> None:
    import polars

    most = 2**31 - 1 if number == "Int32" else 2**62
    at = polars.Series([most, 0, -most, None], dtype=getattr(polars, number))
    at = at.cast(getattr(polars, kind)(*args))
    if listed:
        at = at.reshape((-1, 1)).arr.to_list()
    path = tmp_path / "t.parquet"
    polars.DataFrame({"response": list("abcd"), "at": at}).write_parquet(path)
    assert [row.sample.response for row in read_rows(str(path))] == list("abcd")
    shown = list(read_rows(str(path), {"context": "at"}))
    assert [row.sample is not None for row in shown] == [False, True, False, True]
    assert 'row 1: field "context" is of type TimeOutOfRange' in shown[0].error


def test_the_last_day_of_the_calendar_is_a_date(tmp_path) -> None:
    import datetime

    import polars

    path = tmp_path / "t.parquet"
    polars.DataFrame({"response": [datetime.datetime.max]}).write_parquet(path)
    assert next(read_rows(str(path))).sample.response == str(datetime.datetime.max)


@pytest.mark.parametrize("piped", [False, True])
def test_a_json_list_may_be_one_long_line(tmp_path, monkeypatch, piped) -> None:
    monkeypatch.setattr("mene.runs.source.LONGEST_LINE", 100)
    path = write(tmp_path / "t.json", [{"response": "x" * 90}] * 3)
    if piped:
        pipe = io.BytesIO(b"\n" + path.read_bytes())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    rows = list(read_rows("-" if piped else str(path)))
    assert [row.sample.response for row in rows] == ["x" * 90] * 3


def test_standard_input_that_is_closed(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        list(read_rows("-"))


def test_a_row_without_a_mapped_column_keeps_its_id(tmp_path) -> None:
    path = write(tmp_path / "t.jsonl", [{"id": "x1", "said": "a"}, {"id": "x2"}])
    rows = list(read_rows(str(path), {"response": "said"}))
    assert [(row.id, row.sample is None) for row in rows] == [("x1", False), ("x2", True)]


def test_an_id_of_two_lines_leaves_the_error_on_one(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "r5\\n#", "response": 1e999}\n')
    [row] = read_rows(str(path))
    assert row.id == "r5\n#"
    assert "\n" not in row.error and "(id r5" in row.error
