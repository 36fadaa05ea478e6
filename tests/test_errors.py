"""What a message proposes in place of a name that is not there."""

from __future__ import annotations

import pytest

from mene.cli.paths import check_input
from mene.errors import UsageError, nearest, nearest_file
from mene.library.load import CRITERIA, names, read_text


@pytest.mark.parametrize(
    ("wanted", "proposed"),
    [
        ("rowz.csv", "rows.csv"),
        ("rows.json", "rows.jsonl"),
        ("row.csv.gz", "rows.csv.gz"),
        ("nothere.csv", None),  # the folder and the ending alone are alike
        ("h.csv", None),
        ("rows.csv", None),  # there, and cannot be read
        ("folders", None),
        ("no/rows.csv", None),
        ("a\0b", None),
    ],
)
def test_files_are_alike_by_their_own_names(tmp_path, wanted, proposed) -> None:
    for name in ("rows.csv", "rows.jsonl", "rows.csv.gz", "hdr.csv", "x.csv"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    said = f'; did you mean "{tmp_path / proposed}"?' if proposed else ""
    assert nearest_file(tmp_path / wanted) == said


def test_the_nearest_file_is_one_of_the_right_kind(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "mines.csv", "min.txt"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r'No such file or directory; did you mean "mine\.yaml"'):
        read_text(tmp_path.relative_to(tmp_path) / "mines.yaml", "criterion")
    with pytest.raises(UsageError, match=r'no such file; did you mean "mines\.csv"'):
        check_input("min.csv")


@pytest.mark.parametrize(
    ("word", "proposed"),
    [
        ("faithfullness", "faithfulness"),
        ("corectnes", "correctness"),
        ("relevance", "answer-relevance"),  # a part of a name
        ("faith", "faithfulness"),
        ("tnoe", "tone"),
        ("politeness", None),  # another word, though eight letters of "completeness" are in it
        ("x", None),
        ("", None),
    ],
)
def test_a_name_is_proposed_for_a_typo_or_a_part(word: str, proposed: str | None) -> None:
    said = f'; did you mean "{proposed}"?' if proposed else ""
    assert nearest(word, names(CRITERIA)) == said
