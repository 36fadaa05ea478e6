"""``mene arena`` on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mene.arena.exchange import add
from mene.arena.store import Store
from mene.cli.console import many
from mene.sample import Sample
from tests.arena.made import judged, vote


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with Store(tmp_path / "arena.db") as store:
        made = [
            judged(sample=Sample(instruction=str(i)), voter=f"voter-{i % 2}") for i in range(30)
        ]
        add(
            store,
            [(one, vote(one, "b" if i % 3 else "a", consent=i < 10)) for i, one in enumerate(made)],
        )
    return tmp_path / "arena.db"


def test_a_board_is_shown(here, database: Path) -> None:
    shown = here("arena", "board", "-d", database)
    assert (
        shown.returncode == 0
        and "base*" in shown.stdout
        and "Counted: 30 votes of 2 voters." in shown.stdout
    )
    assert "preliminary" in shown.stdout and "10-20-0-0" in shown.stdout
    styled = here("arena", "board", "-d", database, "--style")
    assert "without style" in styled.stdout
    found = json.loads(here("arena", "board", "-d", database, "--json").stdout)
    assert [row["judge"] for row in found["rows"]] == ["base", "nano"] and found["votes"] == 30


def test_votes_go_from_one_arena_to_another(here, database: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "votes.jsonl", tmp_path / "other.db"
    assert "30 battles" in here("arena", "export", file, "-d", database).stderr
    assert (
        len(here("arena", "export", "-", "-d", database, "--published").stdout.splitlines()) == 10
    )
    done = json.loads(here("arena", "import", file, "-d", other, "--json").stdout)
    assert done == {"new": 30, "votes": 0, "here": 0, "conflicts": 0, "damaged": 0}
    with file.open("a") as more:
        more.write("{broken\n")
    again = here("arena", "import", file, "-d", other)
    assert (
        again.returncode == 1
        and "line 31" in again.stderr
        and "30 lines here already" in again.stderr
    )


def test_moderation_and_deletion(here, database: Path) -> None:
    for why, arguments in (
        ("--why", ["voter-1"]),
        ("no battle", ["nobody", "--why", "x", "--by", "me"]),
    ):
        refused = here("arena", "moderate", *arguments, "-d", database)
        assert refused.returncode == 2 and why in refused.stderr
    assert (
        here(
            "arena", "moderate", "voter-1", "--why", "spam", "--by", "me", "-d", database
        ).returncode
        == 0
    )
    assert "15 (voter moderated)" in here("arena", "board", "-d", database).stdout
    assert "spam" in here("arena", "moderate", "-d", database).stdout
    assert (
        here(
            "arena",
            "moderate",
            "voter-1",
            "--take-back",
            "--why",
            "ok",
            "--by",
            "me",
            "-d",
            database,
        ).returncode
        == 0
    )
    assert "no habits in 30 votes" in here("arena", "voters", "-d", database).stdout
    assert "--yes" in here("arena", "delete", "voter-1", "-d", database).stderr
    assert "deleted 15 votes" in here("arena", "delete", "voter-1", "-d", database, "--yes").stderr
    assert "no voter" in here("arena", "delete", "voter-1", "-d", database, "--yes").stderr


def test_a_name_that_is_none_makes_no_arena(here, tmp_path: Path) -> None:
    for command in ("board", "voters", "moderate"):
        refused = here("arena", command, "-d", tmp_path / "nope.db")
        assert refused.returncode == 2 and "no such arena" in refused.stderr
    assert not list(tmp_path.iterdir())
    assert "--since" in here("arena", "board", "-d", tmp_path / "x", "--since", "soon").stderr


@pytest.mark.parametrize(("count", "said"), [(0, "0 votes"), (1, "1 vote"), (2000, "2,000 votes")])
def test_one_vote_is_not_called_votes(count: int, said: str) -> None:
    assert many(count, "vote") == said
