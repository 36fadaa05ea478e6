"""A Modelfile for Ollama: weights, chat template in Ollama's language, and end-of-turn text."""

from __future__ import annotations

from pathlib import Path

from mene.export.base import Base


def modelfile(base: Base, whole: Path) -> str:
    """Return a greedy Modelfile for Ollama with the base model's chat template."""
    facts = base.facts
    lines = [f"FROM ./{whole.name}"]
    template = ollama_template(facts.chat) if facts.chat else None
    if template:
        lines.append(f'TEMPLATE """{template}"""')
    if facts.stop:
        lines.append(f'PARAMETER stop "{facts.stop}"')
    lines += ["PARAMETER temperature 0", f"PARAMETER num_ctx {min(facts.context, 8192)}"]
    return "\n".join(lines) + "\n"


def ollama_template(chat: str) -> str | None:
    """Return a Jinja chat template as an Ollama (Go) template, for a single turn, which is all a judge needs.

    It is found by rendering placeholders. None where the template is more than text around the turns; Ollama then chooses one.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse

    def around(*turns: tuple[str, str]) -> list[str]:
        messages = [{"role": role, "content": mark} for role, mark in turns]
        template = environment.from_string(chat)
        # Ollama's tokeniser adds begin-of-text itself.
        text = template.render(messages=messages, add_generation_prompt=True, bos_token="")
        parts = []
        for _, mark in turns:
            before, _, text = text.partition(mark)
            parts.append(before)
        return [*parts, text]

    try:
        before, after = around(("user", "USER-TEXT"))
        try:
            start, between, end = around(("system", "SYSTEM-TEXT"), ("user", "USER-TEXT"))
        except jinja2.TemplateError:  # no system role: its text then precedes the user's
            start, between, end = before, "\n", after
    except jinja2.TemplateError:
        return None
    if after != end or not after or "{{" in before + start + between + after:
        return None
    system = "{{ if .System }}" + start + "{{ .System }}" + between
    return f"{system}{{{{ else }}}}{before}{{{{ end }}}}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"
