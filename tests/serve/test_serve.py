"""``mene serve`` as a process: the command, a real web server, the small model, the publisher's own client."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mene.cli.listening import tls_of
from mene.errors import UsageError

TEXT = "The shop opens at nine."
Q = {"ok": {"type": "noul", "instructions": "Is the response supported by the context?"}}
BODY = {
    "model": "jev-latest",
    "state": {"context": TEXT, "response": "It opens at nine."},
    "questions": Q,
}


@contextmanager
def server(*arguments: object, ready: bool = True) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of nano on a free port: its address and process."""
    command = [
        sys.executable,
        "-m",
        "mene",
        "serve",
        "--judge",
        "nano",
        "--port",
        "0",
        *map(str, arguments),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if " at http" in line:
                break
        url = line.split(" at ")[1].split(" ")[0]
        for _ in range(600):
            if not ready or httpx.get(f"{url}/readyz", timeout=60).status_code == 200:
                break
            time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.posix
def test_the_publishers_client_and_many_at_once_and_a_kill(tmp_path, small_model):
    typesafe = pytest.importorskip("typesafe_sdk")
    cache = tmp_path / "cache.sqlite"
    with server("--cache", cache) as (url, process):
        with typesafe.TypeSafeClient(api_key="any", base_url=url, timeout=60) as client:
            found = client.system_one(
                state=BODY["state"],
                questions={
                    "ok": typesafe.Noul(instructions=Q["ok"]["instructions"]),
                    "team": typesafe.Choice(criteria={"sales": None, "support": "for help"}),
                    "s": typesafe.Score(instructions="How good?", criteria=["bad", "good"]),
                },
                model="jev-latest",
            )
            assert 0 < found.nouls["ok"].noul < 1 and found.request_id
            assert sum(found.choices["team"].probabilities.values()) == pytest.approx(1)
            assert client.models.list().models
        # Eight clients at once, one of which goes away; all others get what one alone gets.
        with socket.create_connection(tuple(url.removeprefix("http://").split(":"))) as gone:
            data = json.dumps({**BODY, "state": "gone " * 60}).encode()
            head = f"POST /v1/systemone HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
            gone.sendall(head.encode() + data)
        answers: dict[int, httpx.Response] = {}

        def ask(number: int) -> None:
            state = {**BODY["state"], "response": f"It opens at {number % 2}."}
            answers[number] = httpx.post(
                f"{url}/v1/systemone", json={**BODY, "state": state}, timeout=60
            )

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.status_code for one in answers.values()] == [200] * 8
        shares = {
            number % 2: one.json()["answers"]["ok"]["noul"] for number, one in answers.items()
        }
        assert all(
            one.json()["answers"]["ok"]["noul"] == shares[n % 2] for n, one in answers.items()
        )
        process.send_signal(signal.SIGKILL)
    # Started again, it knows what it was asked before; and it ends when it is told to.
    with server("--cache", cache) as (url, process):
        again = httpx.post(f"{url}/v1/systemone", json=BODY, timeout=60).json()
        assert again["answers"]["ok"]["noul"] == found.nouls["ok"].noul
        assert again["usage"]["cached_tokens"] == again["usage"]["input_tokens"] > 0
        # A client that reads nothing keeps it up; the second signal ends it at once, and without a traceback.
        body = json.dumps({"samples": [{"response": f"Hi {n}", "context": "a " * 300} for n in range(300)],
            "criteria": ["faithfulness"]}).encode()  # fmt: skip
        head = f"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(tuple(url.removeprefix("http://").split(":"))) as waiting:
            waiting.sendall(head.encode() + body)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert process.stderr is not None
        told = process.stderr.read()
        assert "finishing what is under way" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines: give --api-key FILE"),
        (["--api-key", "none.txt"], "none.txt: cannot read the keys"),
        (["--cache", "none/a.sqlite"], "--cache none/a.sqlite: there is no folder none"),
        (["--cache", __file__], "not an SQLite file"),
        (["--tls-cert", "a.pem"], "both --tls-cert and --tls-key"),
        (
            ["--tls-cert", "a.pem", "--tls-key", "b.pem"],
            "--tls-cert a.pem: cannot read it: No such file",
        ),
        (["--tls-cert", "c.pem", "--tls-key", "c.pem"], "c.pem: no certificate with its key"),
        (["--alias", "x"], "write it like --alias"),
        (["--alias", "x=nano", "--alias", "x=base"], "--alias: x is given two values"),
        (["--judge", "nanoo"], 'no judge "nanoo"; did you mean "nano"?'),
        (["--judge", "nano,nano"], "two judges have the same name"),
        (["--port", "1", "--host", "203.0.113.1", "--no-auth"], "cannot listen"),
    ],
)
def test_a_server_that_cannot_be(here, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pem").write_text("no certificate")
    monkeypatch.setattr("mene.cli.serve.bring", lambda presets: None)
    given = arguments if "--judge" in arguments else ["--judge", "nano", *arguments]
    done = here("serve", *(given if "--port" in given else [*given, "--port", 0]))
    assert done.returncode == 2 and message in done.stderr, done.stderr


def self_signed(folder):
    """A certificate for localhost, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    for file, lock in (
        ("key.pem", serialization.NoEncryption()),
        ("locked.pem", serialization.BestAvailableEncryption(b"secret")),
    ):
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
        (folder / file).write_bytes(key.private_bytes(*form))
    return folder / "cert.pem", folder / "key.pem"


def test_tls(tmp_path):
    uvicorn = pytest.importorskip("uvicorn")
    from tests.serve.threaded import threaded

    cert, key = self_signed(tmp_path)
    with pytest.raises(UsageError, match="the key without a password"):
        tls_of(cert, tmp_path / "locked.pem")

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, lifespan="off", log_level="error", **tls_of(cert, key))
    with threaded(config) as port:
        url = f"https://localhost:{port}"
        trusted = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(url, verify=trusted).status_code == 204
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def test_a_port_that_is_taken(here):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = here("serve", "--judge", "nano", "--port", taken.getsockname()[1])
    assert done.returncode == 2 and "cannot listen" in done.stderr


def test_an_alias_of_no_judge(here, monkeypatch):
    monkeypatch.setattr("mene.cli.serve.bring", lambda presets: None)
    done = here("serve", "--judge", "nano", "--port", 0, "--alias", "a=b")
    assert done.returncode == 2 and 'no judge "b" is served here' in done.stderr


def test_without_its_packages_it_says_what_to_install(here, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a)
    )
    done = here("serve")
    assert done.returncode == 2 and 'needs uvicorn: pip install "mene[serve]"' in done.stderr
