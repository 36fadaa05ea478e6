"""One HTTP call to a server: where the key goes, which redirects are followed, how much is read.

A key is for one host. ``OPENAI_API_KEY`` is for that of ``OPENAI_BASE_URL``, or OpenAI's without it; likewise for any other API
(``api.py``). It is sent nowhere else, whatever a preset or ``--judge`` names, and no secret goes over plain HTTP to another
machine. Redirects to another host are not followed, nor redirects that would change the request.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
from collections.abc import Mapping
from typing import Any

import httpx

from mene.engines.remote.api import OPENAI, Api
from mene.engines.remote.faults import Fault, NotJSON, Unreadable
from mene.engines.remote.read_fault import read_fault
from mene.errors import ModelError, UsageError
from mene.text.redact import bare_url, is_secret, redact, remember, remember_url
from mene.verdict import whole_characters

# Maximum size of a reply in bytes, decompressed; a typical one has a few thousand.
LARGEST = 32 << 20
# Seconds to wait for a connection.
CONNECT_S = 10.0
# Maximum number of redirects, within one host.
HOPS = 3
# httpx scans a pool's connections for every request, so a large pool is slow.
POOL = 16


class Wire:
    """Connections to one server.

    Args:
        url: base URL. A password in it is sent as HTTP Basic authentication, its query with every request.
        api_key: for this server only; default: the one in the environment, if it is for this host.
        api: that the server speaks.
        connections: maximum number at once.
        timeout_s: for each step of a call.
        transport: instead of the network.

    Attributes:
        name: the URL as it may be shown.
        advice: what to do where the server refuses the key, or wants one.

    Raises:
        UsageError: no URL.
        ModelError: the publisher's own server without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        api: Api = OPENAI,
        connections: int,
        timeout_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        remember_url(url)
        self.name = bare_url(url)
        parsed = parse_url(url)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": "mene",
            **self._authorization(parsed, api_key, api),
        }
        self._base = parsed.copy_with(userinfo=b"", fragment=None)
        self._timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S), pool=None)
        self._pools = -(-connections // POOL)
        self._busy = [0] * self._pools
        self._clients: list[httpx.AsyncClient | None] = [None] * self._pools
        self._transport = transport
        self._loopback = is_loopback(parsed)
        self._context: Any = None

    def _authorization(self, url: httpx.URL, api_key: str | None, api: Api) -> Mapping[str, str]:
        shown = bare_url(str(url))
        safe = url.scheme == "https" or is_loopback(url)
        env = (os.environ.get(api.key) or "").strip()
        home = os.environ.get(api.base) or api.home
        for_env = same_origin(url, parse_url(home))
        self.advice = (
            f"set {api.key} and {api.base}={shown}, which say together that the key is for it"
        )
        if url.userinfo:
            user = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
            remember(user)
            self.advice = "check the user and the password in the URL"
            kind, secret = "Basic", user
            if not safe:
                raise ModelError(
                    f"{shown}: the password in the URL would go over plain HTTP to another machine; use https://"
                )
        elif api_key:
            self.advice = "check the key that was given"
            kind, secret = "Bearer", api_key.strip()
            if not safe and is_secret(secret):
                raise ModelError(
                    f"{shown}: the key would go over plain HTTP to another machine; use https://"
                )
        elif env and for_env and (safe or not is_secret(env)):
            self.advice = f"check {api.key}"
            kind, secret = "Bearer", env
        else:
            if env and for_env:
                self.advice = (
                    f"{api.key} does not go over plain HTTP to another machine; use https://"
                )
            elif env:
                self.advice = (
                    f"{api.key} is for {parse_url(home).host} and was not sent; if it is for this server, set "
                    f"{api.base}={shown}"
                )
            if api.is_home(url.host):
                raise ModelError(
                    f"{shown} needs a key: set {api.key}, or name a server of your own"
                )
            return {}
        remember(secret)
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ModelError(f"{shown}: the key holds characters that no key has; {self.advice}")
        headers = {"Authorization": f"{kind} {secret}"}
        if api.is_home(url.host):  # the user's account, sent only to the publisher
            for header, name in api.account:
                if value := (os.environ.get(name) or "").strip():
                    headers[header] = value
        return headers

    def address(self, path: str, *, root: bool = False) -> httpx.URL:
        """Return the URL of a path under the base, or beside its ``/v1``."""
        base = self._base.path.rstrip("/")
        return self._base.copy_with(path=(base.removesuffix("/v1") if root else base) + path)

    async def get(self, url: httpx.URL) -> Any:
        """See ``post``."""
        return await self._call("GET", url, None)

    async def post(self, url: httpx.URL, body: Mapping[str, Any]) -> Any:
        """Send JSON; return the reply's JSON.

        Raises:
            Fault: the server reported an error, with whatever status.
            NotJSON, Unreadable: the reply is not JSON, or too large.
            httpx.HTTPError: no reply came.
        """
        # A lone surrogate in a row must not make the whole body unreadable for the server.
        text = whole_characters(json.dumps(body, ensure_ascii=False))
        return await self._call("POST", url, text.encode())

    async def _call(self, method: str, url: httpx.URL, content: bytes | None) -> Any:
        place = min(range(self._pools), key=self._busy.__getitem__)
        self._busy[place] += 1
        try:
            status, headers, text = await self._exchange(place, method, url, content)
            hops = 0
            while 300 <= status < 400:
                if (hops := hops + 1) > HOPS:
                    raise Fault(status, "sends requests in a circle; check the URL")
                url = self._moved(method, url, status, headers)
                status, headers, text = await self._exchange(place, method, url, content)
        finally:
            self._busy[place] -= 1
        try:
            body = json.loads(text, parse_int=_whole)
        except RecursionError:
            raise Unreadable("its JSON is nested too deeply") from None
        except ValueError:
            if (fault := read_fault(status, headers, None, text)) is not None:
                raise fault from None
            raise NotJSON(f"no JSON; it begins {redact(text)[:40]!r}") from None
        if (fault := read_fault(status, headers, body, text)) is not None:
            raise fault
        return body

    async def _exchange(
        self, place: int, method: str, url: httpx.URL, content: bytes | None
    ) -> tuple[int, httpx.Headers, str]:
        headers = (
            {**self._headers, "Content-Type": "application/json"} if content else self._headers
        )
        data = bytearray()
        async with self._client(place).stream(
            method, url, content=content, headers=headers
        ) as reply:
            packed = reply.headers.get("content-encoding", "identity").strip().lower()
            if packed not in ("", "identity", "gzip", "deflate"):
                raise Unreadable(
                    f"it is packed as {redact(packed)[:40]!r}, which was not asked for"
                )
            async for chunk in reply.aiter_bytes():
                data += chunk
                if len(data) > LARGEST:
                    raise Unreadable(f"it has more than {LARGEST >> 20} MiB")
            return reply.status_code, reply.headers, data.decode("utf-8", "replace")

    def _client(self, place: int) -> httpx.AsyncClient:
        client = self._clients[place]
        if client is None:
            if self._context is None and self._base.scheme == "https":
                self._context = httpx.create_ssl_context()
            client = self._clients[place] = httpx.AsyncClient(
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL),
                follow_redirects=False,
                trust_env=not self._loopback,  # no proxy for this machine's own addresses
                verify=self._context or False,
                transport=self._transport,
            )
        return client

    def _moved(self, method: str, url: httpx.URL, status: int, headers: httpx.Headers) -> httpx.URL:
        """Return the redirect's target, which must be on the same host and keep the method."""
        try:
            target = url.join(headers.get("location") or "")
        except (httpx.InvalidURL, ValueError):
            raise Fault(status, "sends elsewhere, but not to a URL; check the URL") from None
        kept = status in (307, 308) or (method == "GET" and status in (301, 302, 303))
        if kept and "location" in headers and same_origin(url, target):
            return target.copy_with(userinfo=b"")
        shown = bare_url(str(target))[:200]
        raise Fault(
            status,
            f"sends requests on to {shown} ({status}), which is not followed; if you trust it, name that URL",
        )

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            if client is not None:
                await client.aclose()


def parse_url(url: str) -> httpx.URL:
    """Parse a server's URL.

    Raises:
        UsageError: it is not ``http://`` or ``https://``.
    """
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        shown = bare_url(url).rpartition("@")[2]  # the part before it may be a password
        raise UsageError(f'"{shown}" is no URL of a server; write it like https://HOST/v1')
    return parsed


def is_loopback(url: httpx.URL) -> bool:
    """Return whether it is this machine itself."""
    if url.host == "localhost" or url.host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def same_origin(a: httpx.URL, b: httpx.URL) -> bool:
    """Return whether scheme, host and port are the same."""
    ports = {"http": 80, "https": 443}
    mine, other = ((u.scheme, u.host, u.port or ports.get(u.scheme)) for u in (a, b))
    return mine == other


def _whole(digits: str) -> int | float:
    """Parse a number of any length: Python refuses very long ones, which may occur in a field that is never used."""
    return int(digits) if len(digits) < 400 else float("inf")
