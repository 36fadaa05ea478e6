"""Which API a server speaks: whose it is, where its key stands, and what to say of it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Api(NamedTuple):
    """An API that many servers speak.

    Attributes:
        engine: the engine of mene that speaks it, as in ``openai:MODEL@URL``.
        server: one that speaks it, in words.
        home: base URL of its publisher's own server, which needs a key.
        key: environment variable of the key.
        base: environment variable of the base URL for which that key is; default: ``home``.
        path: what must be true of a base URL; for whoever has the wrong one.
        account: header -> environment variable: which of the user's accounts pays; for ``home`` alone.
        writes: a model behind it can be asked for critiques.
    """

    engine: str
    server: str
    home: str
    key: str
    base: str
    path: str
    account: tuple[tuple[str, str], ...] = ()
    writes: bool = True

    def is_home(self, host: str) -> bool:
        """Is it the publisher's own server?"""
        return host == urlsplit(self.home).hostname


OPENAI = Api(
    engine="openai",
    server="an OpenAI-compatible server",
    home="https://api.openai.com/v1",
    key="OPENAI_API_KEY",
    base="OPENAI_BASE_URL",
    path="the URL ends in /v1",
    account=(("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")),
)
# Names and home as in the publisher's `typesafe-sdk` 0.7.5.
SYSTEM_ONE = Api(
    engine="systemone",
    server="a System One server",
    home="https://api.typesafe.ai",
    key="TYPESAFE_API_KEY",
    base="TYPESAFE_BASE_URL",
    path="/v1/systemone lies under the URL",
    writes=False,
)
# By the name of the engine that speaks it.
APIS = {api.engine: api for api in (OPENAI, SYSTEM_ONE)}


def only_decides(engine: str) -> bool:
    """Does an engine ask a server that gives labels alone, and never a text?"""
    return engine in APIS and not APIS[engine].writes
