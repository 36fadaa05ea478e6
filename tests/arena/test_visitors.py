"""How often one address may come."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from mene.arena import visitors
from mene.arena.visitors import Hourly, address_of, known_voter
from mene.arena.voter import new_token
from mene.serve.door import Refused


def request(cookie: str = "", client: str = "192.0.2.1") -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request({"type": "http", "headers": headers, "client": (client, 1)})


def test_so_often_in_an_hour(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    hourly = Hourly(2, "battles")
    hourly.count("a")
    hourly.count("a")
    hourly.count("b")
    with pytest.raises(
        Refused, match="2 battles an hour may come from one place.* 60 min"
    ) as error:
        hourly.count("a")
    assert error.value.status == 429 and error.value.headers["retry-after"] == "3600"
    now[0] = 3601.0
    hourly.count("a")


def test_no_limit_is_none() -> None:
    hourly = Hourly(0, "battles")
    for _ in range(1000):
        hourly.count("a")


def test_addresses_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(visitors, "ADDRESSES", 10)
    hourly = Hourly(1, "battles")
    for number in range(50):
        hourly.count(str(number))
    assert len(hourly._times) == 10


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "mene_voter=",
        "mene_voter=short",
        f"mene_voter={'g' * 64}",
        f"mene_voter={'a' * 32}",
        f"mene_voter={'a' * 64}",
        f"mene_voter={new_token(b'other')}",
    ],
    ids=["none", "empty", "short", "no hex", "too short", "unsigned", "another arena's"],
)
def test_no_other_token_is_one(cookie) -> None:
    assert known_voter(request(cookie), bytes(32)) is None


def test_a_voter_is_the_tokens_hash() -> None:
    one, other = (
        known_voter(request(f"mene_voter={new_token(bytes(32))}"), bytes(32)) for _ in "ab"
    )
    assert one and other and one != other and "a" * 8 not in one


def test_a_network_of_ipv6_is_one_address() -> None:
    assert address_of(request(client="2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2"
    assert address_of(request(client="192.0.2.7")) == "192.0.2.7"
