"""Secrets stay in the process; what only looks like one is left alone."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mene.judge.preset import load_preset
from mene.text import redact


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(redact, "_known", ())


def test_a_known_secret_is_hidden_in_every_spelling() -> None:
    redact.remember("p@ss/word", "sk-abcdefgh")
    said = redact.redact("p@ss/word p%40ss%2Fword Bearer sk-abcdefgh.")
    assert said == "*** *** Bearer ***."


@pytest.mark.parametrize("common", ["none", "EMPTY", "ollama", "a", "", "Yes"])
def test_what_stands_for_no_key_is_a_word_like_any(common) -> None:
    redact.remember(common)
    assert redact.redact(f"It says {common}.") == f"It says {common}."


def test_one_secret_in_another() -> None:
    redact.remember("secret", "secret-and-more")
    assert redact.redact("secret-and-more, secret") == "***, ***"


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("http://ann:hunter22@h:1/v1", "http://h:1/v1"),
        ("https://token12345@h/v1", "https://h/v1"),
        ("https://h/v1?key=abcdefgh&v=2", "https://h/v1?key=***&v=***"),
        ("openai:m@http://ann:hunter22@h/v1?key=abcdefgh", "openai:m@http://h/v1?key=***"),
        ("https://h/v1/@cf/model", "https://h/v1/@cf/model"),
        ("openai:@cf/a/b", "openai:@cf/a/b"),
    ],
)
def test_a_url_is_shown_without_user_and_query(url, bare) -> None:
    assert redact.bare_url(url) == bare


def test_what_a_url_holds_is_remembered() -> None:
    redact.remember_url("http://ann:hunter22@h/v1?key=abcdefgh&api-version=2026-01-01")
    assert redact.redact("hunter22 abcdefgh 2026-01-01 ann") == "*** *** 2026-01-01 ann"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec=None) | st.sampled_from("[]:/@?&#%=")))
def test_no_url_is_too_odd_to_hide_what_is_in_it(odd) -> None:
    redact.remember_url(odd)
    redact.remember_url(f"http://ann:hunter22@[::1/v1?{odd}")
    assert "hunter22" not in redact.bare_url(f"cannot reach hunter22@{odd}")


def test_a_judges_name_holds_no_password() -> None:
    judge = load_preset("openai:m@http://ann:hunter22@127.0.0.1:9/v1?token=abcdefgh")
    assert judge.name == "openai:m@http://127.0.0.1:9/v1?token=***"
    assert judge.weights.url == "http://ann:hunter22@127.0.0.1:9/v1?token=abcdefgh"
