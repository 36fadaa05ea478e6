"""What GitHub's runner takes for a command, as its source does it, and what of it is left."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mene.cli.console import Screen, hand_on, plain, say, show, show_json
from mene.cli.verdict_shown import print_verdict
from mene.text.commands import Harmless, harmless
from mene.verdict import Verdict

COMMAND = "::error file=a.py,line=1::pwned"
OLD = "##[error]pwned"


def is_command(line: str) -> bool:
    """``TryParseV2`` and ``TryParse`` of actions/runner; .NET compares without the joiners."""
    seen = line.replace("\u200c", "").replace("\u200d", "").lstrip()
    return (seen.startswith("::") and "::" in seen[2:]) or "##[" in seen


@given(st.lists(st.sampled_from([COMMAND, OLD, "::", ":", "##", "[", " ", "\u200d", "\u3000", "\n", "a"])).map("".join))  # fmt: skip
@example(f"  \u200d{COMMAND}\n\n\t{COMMAND}")
@example(f"a {OLD}")
def test_no_line_is_a_command(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        found = harmless(text)
        assert not any(map(is_command, found.split("\n")))
        assert harmless(found) == found
        line = json.dumps({"a": text}, ensure_ascii=False)
        assert json.loads(harmless(line)) == {"a": text}
        patch.setenv("GITHUB_ACTIONS", "false")
        assert harmless(text) == text


def test_mene_may_give_commands_and_no_line_below_may() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        assert harmless(f"{COMMAND}\n{COMMAND}", ours=True) == f"{COMMAND}\n\\u003a{COMMAND[1:]}"


def test_all_ways_out_are_harmless(capsys, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    screen = Screen(width=20)
    screen.print(plain(COMMAND), soft_wrap=True)
    screen.print(plain(f"a line before {COMMAND}"))  # wrapped
    Screen(stderr=True).print(plain(OLD))
    critique = f"It is rude. {COMMAND} {OLD}"
    print_verdict(Screen(width=20), Verdict(id=COMMAND, label="No", critique=critique))
    print_verdict(screen, Verdict(id=OLD, error=COMMAND))
    show(COMMAND, ours=False)
    show_json({"a": OLD})
    hand_on(json.dumps({"a": OLD}))
    hand_on(f"1,{OLD}")  # a table
    say(f"mene: {OLD}")
    out, err = capsys.readouterr()
    *lines, table = out.splitlines()
    assert not [line for line in [*lines, *err.splitlines()] if is_command(line)]
    assert table == f"1,{OLD}"
    assert [json.loads(line) for line in lines[-2:]] == [{"a": OLD}] * 2
    show(COMMAND)
    assert capsys.readouterr().out == f"{COMMAND}\n"


def test_elsewhere_nothing_changes(capsys, monkeypatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    Screen().print(plain(COMMAND), soft_wrap=True)
    assert capsys.readouterr().out == f"{COMMAND}\n"


def test_the_stream_is_otherwise_what_it_was(monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    under = io.StringIO()
    stream = Harmless(under)
    stream.write(f"{COMMAND}\n")
    stream.flush()
    assert not stream.isatty() and under.getvalue() == f"\\u003a{COMMAND[1:]}\n"
