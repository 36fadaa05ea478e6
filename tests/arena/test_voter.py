"""A voter's number: the same for the same token and salt, and nothing else is in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mene.arena.voter import new_token, read_salt, salt_beside, voter_id
from mene.errors import UsageError


def test_a_voter_is_known_by_token_and_salt(tmp_path: Path) -> None:
    path = salt_beside(tmp_path / "arena.db")
    assert path == tmp_path / "arena.db.salt"
    with ThreadPoolExecutor(8) as pool:  # as many processes that start at once
        salts = set(pool.map(read_salt, [path] * 16))
    assert len(salts) == 1 and [one.name for one in tmp_path.iterdir()] == ["arena.db.salt"]
    (salt,) = salts
    token = new_token(salt)
    assert voter_id(salt, token) == voter_id(salt, token) != voter_id(salt, new_token(salt))
    assert voter_id(b"0" * 32, token) != voter_id(salt, token) and token not in voter_id(
        salt, token
    )


@pytest.mark.posix
def test_only_its_owner_reads_the_salt(tmp_path: Path) -> None:
    read_salt(tmp_path / "salt")
    assert (tmp_path / "salt").stat().st_mode & 0o777 == 0o600


def test_a_salt_that_is_none_is_one_line(tmp_path: Path) -> None:
    for text in ("", "00ff", "what?"):
        (tmp_path / "salt").write_text(text)
        with pytest.raises(UsageError, match="salt"):
            read_salt(tmp_path / "salt")


def test_a_servers_salt_does_not_depend_on_the_password() -> None:
    one, other = (salt_beside(f"postgresql://me:{word}@host/arena") for word in ("a", "b"))
    assert one == other != salt_beside("postgresql://me:a@host/other")
