"""Files written whole or not at all."""

from __future__ import annotations

import os

import pytest

from mene.files import whole, write_whole


def test_an_error_in_between_leaves_what_was_there(tmp_path) -> None:
    path = tmp_path / "page.html"
    write_whole(path, "first")
    with pytest.raises(OSError), whole(path) as file:
        file.write(b"sec")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "first"
    write_whole(path, "thïrd")
    assert path.read_text("utf-8") == "thïrd"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_link_stays_a_link_and_a_planted_part_is_not_followed(tmp_path) -> None:
    real, link, precious = (tmp_path / name for name in ("real", "link", "precious"))
    precious.write_text("keep me")
    link.symlink_to(real)
    (tmp_path / ".real.part").symlink_to(precious)
    write_whole(link, "new")
    assert (link.is_symlink(), real.is_symlink()) == (True, False)
    assert (real.read_text(), precious.read_text()) == ("new", "keep me")


@pytest.mark.posix
def test_rights_are_kept(tmp_path) -> None:
    path = tmp_path / "page.html"
    write_whole(path, "1")
    path.chmod(0o640)
    write_whole(path, "2")
    assert path.stat().st_mode & 0o777 == 0o640


def test_two_writers_at_once_leave_one_whole_file(tmp_path) -> None:
    path = tmp_path / "page.html"
    with pytest.raises(OSError, match="another process"), whole(path) as file:
        write_whole(path, "the other")
        file.write(b"this on")
    assert path.read_text() == "the other"


@pytest.mark.posix
def test_a_pipe_is_written_to(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(path, "page")
    assert os.read(reader, 9) == b"page"
    os.close(reader)
    assert path.is_fifo()
