"""A server's error explained to a person: what happened, and what to do. Functions without I/O."""

from __future__ import annotations

import re

import httpx

from mene.engines.remote.api import OPENAI, Api
from mene.engines.remote.faults import Fault, first_named, is_silence
from mene.engines.remote.pauses import PATIENCE
from mene.engines.remote.read_fault import in_one_line
from mene.engines.steps import ROOM, overflow
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError

WITHHELD_ADVICE = "change the row, or judge it with a model of your own"


def explain_fault(
    error: Exception,
    server: str,
    model: str,
    timeout_s: float,
    key: str,
    worked: bool,
    api: Api = OPENAI,
) -> MeneError:
    """Return an error that says what happened and what to do; a ModelError where no other request can succeed.

    Args:
        key: what to do about the key, where the server refuses it.
        worked: the server has answered before, so that a refusal may concern this row only.
        api: of the server.
    """
    if isinstance(error, Fault):
        return _of_fault(error, server, model, key, worked, api)
    reason = in_one_line(str(error)) or type(error).__name__
    if is_silence(error):
        reason = f"no answer within {timeout_s:g} s"
        advice = "the server is too slow or stuck; lower --concurrency"
    elif isinstance(error, httpx.HTTPError):
        advice = "check that the server runs and the URL is right"
    else:
        reason = f"the answer cannot be used ({reason})"
        advice = f"is it {api.server}?"
    return EngineError(f"{server}: {reason}; {advice}")


def _of_fault(fault: Fault, server: str, model: str, key: str, worked: bool, api: Api) -> MeneError:
    reason = fault.reason
    if fault.out_of_credit:
        return ModelError(
            f"{server}: the account is out of credit ({reason}); add credit, or use another judge; the verdicts "
            "so far are kept"
        )
    if fault.too_long:
        tokens, window = context_sizes(str(fault))
        if tokens and window and tokens > window:
            return overflow(tokens, window)
        room = ", or lower --critique-tokens" if api.writes else ""
        return ContextOverflow(f"{server}: {reason}; {ROOM}{room}")
    if fault.withheld:
        return EngineError(f"{server} withheld the answer ({reason}); {WITHHELD_ADVICE}")
    if fault.status < 400:
        return ModelError(f"{server} {reason}")
    if fault.status == 401 or (fault.status in (403, 407) and fault.spoken and not worked):
        return ModelError(f"{server} refuses the key ({reason}); {key}")
    if fault.no_route and not worked:
        return ModelError(
            f'{server} does not know what it was asked for ({reason}); check the name "{model}", that {api.path}, and '
            f"that {api.server} runs there"
        )
    if fault.status == 404 and not worked:
        return ModelError(f'{server} has no model "{model}" ({reason}); check its name')
    if (fault.wants or 0) > PATIENCE:
        return ModelError(
            f"{server}: {reason}; it accepts no request for {_duration(fault.wants or 0)}; run the same command again after that"
        )
    if fault.status == 429:
        advice = "lower --concurrency or set --rpm"
    elif first_named(fault.param or reason, ("max_tokens", "max_completion_tokens")):
        advice = "lower --critique-tokens"
    elif fault.status == 422:
        advice = (
            "the server takes no such request: change the row or the scale, or use another judge"
        )
    else:
        advice = "run the same command again to retry the failed rows"
    return EngineError(f"{server}: {reason}; {advice}")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else "hours"


def context_sizes(message: str) -> tuple[int | None, int | None]:
    """Return (tokens, window) from an error about a prompt that does not fit; None for what it does not state."""
    tokens = re.search(
        r"(?:resulted in|you requested|request has|at least|passed|request \(|\(length|n_prompt_tokens\W{1,4})"
        r"\s*(\d[\d,]*)\b(?! output)",
        message,
    )
    window = re.search(
        r"(?:context length|context size|model length|configured limit|n_ctx)\D{0,20}(\d[\d,]*)",
        message,
    )
    return _whole(tokens), _whole(window)


def _whole(found: re.Match[str] | None) -> int | None:
    return int(found[1].replace(",", "")[:12]) if found else None
