"""The APIs that servers speak: where their keys are, and how to describe them in messages."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Api(NamedTuple):
    """An API that many servers speak.

    Attributes:
        engine: the engine that speaks it, as in ``openai:MODEL@URL``.
        server: description of such a server.
        home: base URL of the publisher's own server, which needs a key.
        key: environment variable of the key.
        base: environment variable of the base URL that the key belongs to; default: ``home``.
        path: what a base URL must look like, for error messages.
        account: header -> environment variable that selects the user's account; sent to ``home`` only.
        writes: whether its models can write critiques.
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
        """Return whether this is the publisher's own server."""
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
# Names and home are those of the publisher's `typesafe-sdk` 0.7.5.
SYSTEM_ONE = Api(
    engine="systemone",
    server="a System One server",
    home="https://api.typesafe.ai",
    key="TYPESAFE_API_KEY",
    base="TYPESAFE_BASE_URL",
    path="/v1/systemone lies under the URL",
    writes=False,
)
# By engine name.
APIS = {api.engine: api for api in (OPENAI, SYSTEM_ONE)}


def only_decides(engine: str) -> bool:
    """Return whether an engine's servers return only labels, never text."""
    return engine in APIS and not APIS[engine].writes
