"""A model's chat template, rendered without Transformers.

Templates come with the weights, so they run in the sandbox of all templates.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from mene.library.limits import TooMuch, limited
from mene.library.sandbox import Sandbox, reason_of
from mene.text.thought import closed

MOST = 100_000  # maximum characters that a template may make of a single word

# End-of-turn tokens that some models' settings do not name.
ENDS_OF_TURN = frozenset(
    ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>")
)


# llama.cpp's default for a model without a template.
CHATML = """\
{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


class _Generation(Extension):
    """``{% generation %}`` marks an assistant's text for training; here only its content is kept."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own way

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """Turns messages into the text that a model reads. Thread-safe.

    Args:
        source: Jinja, as in ``tokenizer.chat_template``; empty: turns preceded by their role.
        texts: further variables: ``bos_token``, ``eos_token``, …

    Raises:
        ValueError: it cannot be parsed, with the reason.
    """

    def __init__(self, source: str, texts: dict[str, str]) -> None:
        self._texts = texts
        self._body: jinja2.Template | None = None
        if not source:
            return
        jinja = Sandbox(tojson=_json)
        jinja.undefined = jinja2.Undefined  # a template may test for tools, which are undefined
        for extension in ("jinja2.ext.loopcontrols", "jinja2.ext.do", _Generation):
            jinja.add_extension(extension)
        jinja.globals |= {"raise_exception": _raise, "strftime_now": _now}
        try:
            with limited(len(source)):
                self._body = jinja.from_string(source)
        except (jinja2.TemplateError, TooMuch, RecursionError, MemoryError) as error:
            raise ValueError(reason_of(error)) from None

    def __call__(self, messages: list[dict[str, str]]) -> str:
        """Return the text, up to where the assistant's turn begins.

        Raises:
            Exception: whatever the template raises about the messages.
        """
        return laid_out(messages, self._render if self._body is not None else None)

    def _render(self, messages: list[dict[str, str]]) -> str:
        assert self._body is not None
        with limited(sum(len(message["content"]) for message in messages)):
            return self._body.render(**self._texts, messages=messages, add_generation_prompt=True)


def laid_out(
    messages: list[dict[str, str]], render: Callable[[list[dict[str, str]]], str] | None
) -> str:
    """Return messages as text, also where the template lacks a role, and with no thought open at the end.

    Args:
        render: the template; None where the model has none: turns preceded by their role.
    """
    if render is None:
        turns = [f"{m['role'].capitalize()}: {m['content']}\n\n" for m in messages]
        return "".join(turns) + "Assistant: "
    if [m["role"] for m in messages[:2]] != ["system", "user"]:
        return closed(render(messages))
    try:
        text = render(messages)
        if not _drops_system(messages, text, render):
            return closed(text)
    except jinja2.TemplateError:
        pass
    # For templates without a system role, its text precedes the user's.
    first = f"{messages[0]['content']}\n{messages[1]['content']}"
    return closed(render([{"role": "user", "content": first}, *messages[2:]]))


def _drops_system(
    messages: list[dict[str, str]], text: str, render: Callable[[list[dict[str, str]]], str]
) -> bool:
    """Return whether the template ignores the system's text: then its output is the same for any text."""
    if messages[0]["content"].strip() in text:
        return False
    return text == render([{"role": "system", "content": "other"}, *messages[1:]])


@lru_cache(8)  # called several times for each opened file
def unfit(source: str, texts: frozenset[tuple[str, str]]) -> str:
    """Return why a template cannot be used, in a few words; empty where it can.

    It is compiled and tried on one word. Errors that it raises itself do not count: it may require another conversation.

    Args:
        source, texts: as for ``ChatTemplate``.
    """
    try:
        made = ChatTemplate(source, dict(texts))([{"role": "user", "content": "Hello."}])
    except ValueError as error:
        return f"cannot be used: {error}"
    except (TooMuch, RecursionError, OverflowError, MemoryError) as error:
        return f"goes on without end: {reason_of(error)}"
    except Exception:
        return ""
    return f"makes {len(made):,} characters of one word" if len(made) > MOST else ""


def _raise(reason: Any) -> None:
    raise jinja2.TemplateError(str(reason))


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter as in Transformers: Jinja's own is for HTML, and writes < as \\u003c."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent and min(indent, 8),
        separators=separators,
        sort_keys=sort_keys,
    )


def _now(form: str) -> str:
    return datetime.datetime.now().strftime(form)
