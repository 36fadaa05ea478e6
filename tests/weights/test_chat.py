"""Chat templates of the kinds that models come with, rendered in our sandbox as Transformers renders them in Jinja's."""

from __future__ import annotations

import json
import time
from typing import Any

import jinja2
import pytest
from hashed import HashedModel
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mene.engines.base import Request
from mene.engines.in_process.engine import InProcessEngine
from mene.errors import EngineError
from mene.message import Message
from mene.weights.chat import ChatTemplate

TEXTS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

SMOLLM2 = """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You help.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

LLAMA3 = """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message is taken out of the list. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN25 = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

QWEN3 = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<answer>') and message.content.endswith('</answer>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

MISTRAL = """\
{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if message['role'] == 'user' %}
{{ '[INST] ' + message['content'] + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}
{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}
{% else %}
{{ raise_exception('Only user and assistant roles are supported!') }}
{% endif %}
{% endfor %}"""

PARTS = """\
{%- macro turn(role, text) -%}
[{{ role }}]{{ text }}
{% endmacro -%}
{%- for message in messages if message.content %}
{%- if loop.previtem is defined and loop.previtem.role == message.role %}{% continue %}{% endif %}
{{- turn(message.role | upper, {"role": message.role, "text": message.content} | tojson) }}
{%- do [].__class__ if false else none %}
{%- endfor %}
{{- messages | map(attribute='role') | unique | list | tojson(indent=1) }}
{{- nothing_here }}{{ bos_token ~ (pad_token or '') }}"""

TEMPLATES = {
    "SmolLM2": SMOLLM2, "Llama 3": LLAMA3, "Qwen2.5": QWEN25, "Qwen3": QWEN3, "Mistral": MISTRAL, "parts": PARTS,
}  # fmt: skip
SYSTEM = {"role": "system", "content": "  You judge <b>answers</b> & 'more'. \n"}
USER = {"role": "user", "content": 'Is "é日本👍" {{ right }} {% if %}?\n\n<think>\n'}
ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes\n"}
TALKS = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "talk": [USER, ANSWER, USER],
    "long": [SYSTEM, USER, ANSWER, {"role": "user", "content": "word " * 20_000}],
}


def _raise(reason: str) -> None:
    raise jinja2.TemplateError(reason)


def in_plain_jinja(source: str, messages: list[dict[str, str]]) -> str:
    """As Transformers does; what is marked as generated stays where it is."""
    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"],
    )
    jinja.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False, **how)
    jinja.globals |= {"raise_exception": _raise, "strftime_now": time.strftime}
    source = source.replace("{% generation", "{% if true").replace("{% endgeneration", "{% endif")
    return jinja.from_string(source).render(**TEXTS, messages=messages, add_generation_prompt=True)


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_as_plain_jinja_renders(name: str, talk: str) -> None:
    messages = TALKS[talk]
    if name == "Mistral" and messages[0] == SYSTEM:  # no such role: it leads the user's turn
        first = {"role": "user", "content": f"{SYSTEM['content']}\n{USER['content']}"}
        expected = in_plain_jinja(MISTRAL, [first, *messages[2:]])
    else:
        expected = in_plain_jinja(TEMPLATES[name], messages)
    assert ChatTemplate(TEMPLATES[name], TEXTS)(messages) == expected


def test_what_a_template_raises_is_its_own_word() -> None:
    with pytest.raises(jinja2.TemplateError, match="must alternate"):
        ChatTemplate(MISTRAL, TEXTS)([USER, USER])


def test_no_template() -> None:
    text = ChatTemplate("", TEXTS)([{"role": "system", "content": "Judge."}, USER])
    assert text == f"System: Judge.\n\nUser: {USER['content']}\n\nAssistant: "


def test_a_system_that_the_template_passes_over_leads_the_user() -> None:
    """As llama.cpp has it; it was lost."""
    source = "{% for m in messages %}{% if m.role == 'user' %}U: {{ m.content }}\n{% endif %}{% endfor %}A:"
    told = [{"role": "system", "content": " Judge. "}, {"role": "user", "content": "x"}]
    assert ChatTemplate(source, TEXTS)(told) == "U:  Judge. \nx\nA:"
    changed = "{% for m in messages %}{{ m.content | replace('u', 'U') }}\n{% endfor %}A:"
    assert ChatTemplate(changed, TEXTS)(told) == " JUdge. \nx\nA:"  # changed, but there


def test_a_thought_that_the_template_opens_is_closed() -> None:
    source = QWEN25.replace("<|im_start|>assistant\\n'", "<|im_start|>assistant\\n<think>\\n'")
    assert source != QWEN25
    assert ChatTemplate(source, TEXTS)([USER]).endswith("assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}",
        "{{ messages | no_such_filter }}",
        "{% include 'other' %}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    ],
)
def test_a_template_that_cannot_be_read(source: str) -> None:
    with pytest.raises(ValueError):
        ChatTemplate(source, TEXTS)


def ask(content: str, index: int = 0) -> Request:
    return Request(index, (Message("user", content),), ("e", "s"), "ab:", "=>")


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LARGE = "{% set ns = namespace(t='x') %}{% for a in range(99) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}"
DEEP = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"
INSIDE = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
POWER = "{{ 9 ** (9 ** 9) }}"


@pytest.mark.parametrize("bad", [ENDLESS, LARGE, DEEP, INSIDE, POWER])
def test_what_has_no_end_is_an_error_of_the_row(bad: str) -> None:
    class Model(HashedModel):
        __slots__ = ()

        def chat(self, messages: list[dict[str, Any]]) -> str:
            return template(messages)

    template = ChatTemplate("{% if 'dog' in messages[0].content %}" + bad + "{% endif %}a", TEXTS)
    start = time.process_time()
    failed, fine = sorted(
        InProcessEngine(Model()).run([ask("a dog"), ask("a goat", 1)]), key=lambda done: done.index
    )
    assert isinstance(failed.error, EngineError)
    assert "chat template" in str(failed.error)
    assert len(str(failed.error)) < 300
    assert fine.label in ("e", "s")
    assert time.process_time() - start < 30
