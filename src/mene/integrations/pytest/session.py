"""What mene has open in a pytest process, and the verdicts of its tests. It imports pytest only; see ``plugin.py``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mene import Verdict
    from mene.integrations.pytest.checks import Check
    from mene.integrations.pytest.door import Door
    from mene.integrations.pytest.judging import Asked, Judging


class Session:
    """What mene has open in this process."""

    def __init__(self) -> None:
        self.judging: Judging | None = None
        self.asked: Asked | None = None
        self.door: Door | None = None

    def close(self) -> None:
        """Close everything."""
        for one in (self.door, self.asked, self.judging):
            if one is not None:
                one.close()


SESSION = pytest.StashKey[Session]()
SAID = pytest.StashKey[list[tuple["Check | None", "Verdict"]]]()


def asked_of(config: pytest.Config) -> Asked:
    session = config.stash[SESSION]
    if session.asked is None:
        if door := getattr(config, "workerinput", {}).get("mene"):
            from mene.integrations.pytest.door import Through

            session.asked = Through(*door)
        else:
            session.asked = judging_of(config)
    return session.asked


def judging_of(config: pytest.Config) -> Judging:
    from mene.integrations.pytest.judging import Judging

    session = config.stash[SESSION]
    if session.judging is None:
        spec = config.getoption("mene_judge") or config.getini("mene_judge") or None
        explain = bool(config.getoption("mene_explain"))
        session.judging = Judging(spec, _ledger(config), explain, functools.partial(_tell, config))
    return session.judging


def _tell(config: pytest.Config, text: str) -> None:
    """Print a message immediately, since what follows takes long."""
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        reporter.ensure_newline()
        reporter.write_line(f"mene: {text}")


def _ledger(config: pytest.Config) -> Path | None:
    if given := config.getoption("mene_ledger"):
        return config.invocation_params.dir / given
    if given := config.getini("mene_ledger"):
        return (config.inipath.parent if config.inipath else config.rootpath) / given
    cache = getattr(config, "cache", None)  # None: `-p no:cacheprovider`; nothing is stored
    return None if cache is None else cache.mkdir("mene") / "verdicts.jsonl"
