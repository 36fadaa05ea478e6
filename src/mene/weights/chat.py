"""A model's chat template, rendered without Transformers.

It comes with the weights, so it runs in the sandbox of all templates.
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

MOST = 100_000  # characters that a template may make of one word

# Ends of a turn that some models' settings forget to name.
ENDS_OF_TURN = frozenset(
    ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>")
)


# What llama.cpp takes for a model without a template of its own.
CHATML = """\
{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


class _Generation(Extension):
    """``{% generation %}`` marks what an assistant said, for training; here it is what stands in it."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own way

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """Turns messages into the text that a model reads. Several threads may use it.

    Args:
        source: Jinja, as in ``tokenizer.chat_template``; empty: turns with their role in front.
        texts: what it may name besides the messages: ``bos_token``, ``eos_token``, …

    Raises:
        ValueError: it cannot be read, with the reason.
    """

    def __init__(self, source: str, texts: dict[str, str]) -> None:
        self._texts = texts
        self._body: jinja2.Template | None = None
        if not source:
            return
        jinja = Sandbox(tojson=_json)
        jinja.undefined = jinja2.Undefined  # a template asks for tools, and finds none
        for extension in ("jinja2.ext.loopcontrols", "jinja2.ext.do", _Generation):
            jinja.add_extension(extension)
        jinja.globals |= {"raise_exception": _raise, "strftime_now": _now}
        try:
            with limited(len(source)):
                self._body = jinja.from_string(source)
        except (jinja2.TemplateError, TooMuch, RecursionError, MemoryError) as error:
            raise ValueError(reason_of(error)) from None

    def __call__(self, messages: list[dict[str, str]]) -> str:
        """The text, up to where the assistant's turn begins.

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
    """Messages as text, whatever the model's template has no word for, and no thought open at its end.

    Args:
        render: the template; None where the model has none: turns with their role in front then.
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
    # Some templates know no system role; its text then leads the user's.
    first = f"{messages[0]['content']}\n{messages[1]['content']}"
    return closed(render([{"role": "user", "content": first}, *messages[2:]]))


def _drops_system(
    messages: list[dict[str, str]], text: str, render: Callable[[list[dict[str, str]]], str]
) -> bool:
    """Whether the template passes over what the system says: then it says the same of any word."""
    if messages[0]["content"].strip() in text:
        return False
    return text == render([{"role": "system", "content": "other"}, *messages[1:]])


@lru_cache(8)  # a file is looked at by whoever opens it, and more than once
def unfit(source: str, texts: frozenset[tuple[str, str]]) -> str:
    """Why a template cannot be a model's, in a few words; empty where it can be.

    It is compiled, and tried on one word. What it raises itself is no reason: it may want another conversation.

    Args:
        source, texts: as of ``ChatTemplate``.
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
    """As Transformers has it: Jinja's own is for HTML, and writes < as \\u003c."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent and min(indent, 8),
        separators=separators,
        sort_keys=sort_keys,
    )


def _now(form: str) -> str:
    return datetime.datetime.now().strftime(form)
