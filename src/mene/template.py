"""How a criterion and a sample become chat messages.

A template is one Jinja file that writes the user's turn. A few lines at its head set the text that begins the critique
(``opening``), the text before the label (``cue``), and how labels are written. Built-in templates live in
``mene/library/templates``; users may write their own. Untrusted text (everything from the sample) is put into fences that
it cannot close, and control tokens in it are broken up. A template that a model was trained on may use other delimiters
than fences; it lists them (``marks``), and they are broken up too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from mene.criterion import Criterion
from mene.errors import SampleError, UsageError, nearest
from mene.library.check import parse
from mene.library.limits import TooSlow, limited
from mene.library.load import TEMPLATES, find, names, unknown
from mene.library.sandbox import Sandbox, line_of, plain_jinja, reason_of
from mene.message import GAP, JOINT, Message
from mene.sample import FIELDS, Sample
from mene.scale import Scale
from mene.template_view import (
    OF_SAMPLE,
    Asked,
    PlainCriterion,
    PlainScale,
    asked_of,
    published_names,
)
from mene.text.fence import break_up, control_pattern, fence, mark_pattern

EMPTY = "(empty)"  # stands for an empty response, which is judged like any other
# Asks for the reason behind a verdict that the judge has given.
WHY = "Why? Say in one or two sentences what decides this result, and quote the words or name the facts that do."
# Tags with effects beyond their own output.
LASTING = (
    nodes.Assign,
    nodes.AssignBlock,
    nodes.Macro,
    nodes.Block,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
)


class Head(BaseModel):
    """The head of a template file, all text; ``Template`` explains the keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opening: str = "**Reasoning:**"
    cue: str = "**Result:**"
    why: str = WHY
    gap: str = GAP
    joint: str = JOINT
    classes: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @field_validator("classes", "pairs", "marks", mode="before")
    @classmethod
    def _listed(cls, value: object, info: ValidationInfo) -> object:
        """Split a comma-separated line."""
        if isinstance(value, tuple):
            return value
        if not isinstance(value, str):
            raise ValueError("must be text; put it in quotes")
        if not value.strip():
            return ()
        found = tuple(part.strip() for part in value.split(","))
        many = {"classes": 2, "pairs": 3}.get(info.field_name or "")
        if "" in found or len(set(found)) < len(found) or (many and len(found) != many):
            raise ValueError(
                f'must list {many or "some"} different texts, with commas between, not "{value}"'
            )
        return found


@dataclass(frozen=True)
class Template:
    """A compiled template: how a judge is asked.

    Attributes:
        name: for messages.
        identity: its name and the hash of its text, e.g. ``prefix@1a2b3c4d``; calibrations refer to it.
        start: the compiled beginning of the user's turn that is the same for all samples of a criterion, so it is rendered
            once; None where there is no such part.
        body: the compiled rest of the user's turn.
        head: number of lines before the Jinja text.
        opening: the text that begins the critique, e.g. ``**Reasoning:**``.
        cue: the text before the label, e.g. ``**Result:**``.
        why: the user's turn that asks for the reason behind a given verdict.
        gap: white space between the critique and the cue.
        joint: text between the cue and the label.
        classes: how the two labels of a binary scale are written, the positive first (``1, 0``). Scales of more classes
            then use numbers from 1. Empty: labels are written unchanged.
        pairs: how A, B and tie are written; empty: unchanged.
        marks: texts reserved for the template, in any case of letters; they are broken up in a sample's text.
    """

    name: str
    identity: str
    body: jinja2.Template
    opening: str
    cue: str
    why: str = WHY
    start: jinja2.Template | None = None
    head: int = 0
    gap: str = GAP
    joint: str = JOINT
    classes: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def written(self, scale: Scale | PlainScale) -> tuple[str, ...]:
        """Return the labels of a scale as the model writes them, in the scale's order."""
        if scale.kind == "pairwise" and self.pairs:
            return self.pairs[: len(scale.labels)]
        if scale.kind == "nominal" and self.classes:
            numbers = tuple(str(n + 1) for n in range(len(scale.labels)))
            return self.classes if scale.is_binary else numbers
        return scale.labels

    def tidy(self, critique: str) -> str:
        """Return a critique without the tags of this template's format; tags inside the text become their names."""
        if not self.marks:
            return critique
        if self.cue.startswith('"'):  # JSON, whose opening brace comes before the critique
            critique = critique.rstrip("{ \n")
        for mark in self.marks:
            if name := re.fullmatch(r"<(\w+)>", mark):
                critique = critique.replace(f"</{name[1]}>", "").replace(mark, f"{name[1]}:")
        return re.sub(r"\n{3,}", "\n\n", critique).strip()

    def render(
        self,
        criterion: Criterion,
        sample: Sample,
        *,
        critique: bool,
        control_tokens: Iterable[str] = (),
    ) -> tuple[Message, ...]:
        """Return the chat messages for one sample.

        The template sees plain data: ``criterion`` (its fields), ``critique`` (whether reasoning is asked for), ``form``
        (absolute, classification or pairwise), ``opening``, ``cue``, ``choices`` (the labels in words), ``written`` (label ->
        how
        it is written), the sample's fields that the criterion shows (others are None), and the variables of the published
        Selene
        Mini templates (``user_input``, ``assistant_response``, ``assistant_response_a``, ``rubric_objective``,
        ``rubric_score_1_description``, …).

        Raises:
            UsageError: the template uses an unknown name, or accesses something the sandbox forbids.
            SampleError: it fails on this sample, or exceeds its limits of time or size.
        """
        control, marks = control_pattern(frozenset(control_tokens)), mark_pattern(self.marks)
        fields: dict[str, str | None] = dict.fromkeys(FIELDS)
        asked = asked_of(criterion)
        for name in asked.criterion.shown:
            if (text := getattr(sample, name)) is None:
                continue
            if not (text := text.strip()) and name.startswith("response"):
                text = EMPTY
            fields[name] = break_up(break_up(text, marks), control) or None
        values: dict[str, Any] = {**fields, **published_names(fields)}
        try:
            same, begun = self._same(asked, critique)
            values = {**same, **values}
            if self.body.environment.sandboxed:
                with limited(room=sum(len(text or "") for text in fields.values())):
                    text = _write(self.body, values)
            else:
                text = begun + _write(self.body, values)
        except (
            Exception
        ) as error:  # any failure inside a template becomes an error that names its line
            ours = self.body.globals
            raise self._error(error, {k: v for k, v in values.items() if k not in ours}) from None
        text = text.lstrip()
        # A space after the last word stays, since some models were trained with it. (A regular expression for white space at
        # the end would take minutes on a row with a million spaces.)
        bare = text.rstrip()
        return (Message("user", bare if "\n" in text[len(bare) :] else text),)

    def _same(self, asked: Asked, critique: bool) -> tuple[dict[str, Any], str]:
        """Return what is the same for all samples of a criterion: template variables, and the prompt's rendered beginning."""
        if (known := asked.begun.get((self.body, critique))) is not None:
            return known
        scale = asked.criterion.scale
        values: dict[str, Any] = {
            **self.body.globals,
            "criterion": asked.criterion,
            "critique": critique,
            "form": asked.form,
            "opening": self.opening,
            "cue": self.cue,
            "choices": asked.choices,
            "written": dict(zip(scale.labels, self.written(scale), strict=True)),
            **asked.published,
        }
        begun = "" if self.start is None else _write(self.start, values)
        asked.begun[self.body, critique] = values, begun
        return values, begun

    def _error(self, error: Exception, values: dict[str, Any]) -> Exception:
        line = line_of(error, self.body)
        where = f"template {self.name}" + (f", line {line + self.head}" if line else "")
        if isinstance(error, SecurityError):
            return UsageError(f"{where}: a template may only read its texts: {reason_of(error)}")
        if isinstance(error, TooSlow):
            return UsageError(f"{where}: {reason_of(error)}; correct the template")
        if name := re.match(r"'(\w+)' is undefined", str(error)):
            return UsageError(f"{where}: {error}{nearest(name[1], values)}")
        if name := re.search(
            r"Plain(Criterion|Scale) object' has no attribute '(\w+)'", str(error)
        ):
            fields = (PlainCriterion if name[1] == "Criterion" else PlainScale)._fields
            what = f'a {name[1].lower()} has no "{name[2]}"'
            return UsageError(f"{where}: {what}{nearest(name[2], fields)}")
        return SampleError(f"{where}: {reason_of(error)}; correct the template or the row")


def _write(part: jinja2.Template, values: dict[str, Any]) -> str:
    """Render a part of a template; ``values`` include Jinja's own globals."""
    context = part.new_context(values, shared=True)
    return part.environment.concat(part.root_render_func(context))


def parse_template(text: str, name: str, ours: bool = False) -> Template:
    """Read a template: a YAML head between ``---`` lines, then the Jinja body.

    Args:
        ours: the template ships with mene; any other is rendered in the sandbox.

    Raises:
        UsageError: the message names the file and the problem.
    """
    text = text.removeprefix("\ufeff")
    match = re.match(r"---(\n.*?|)\n---\n(.*)", text.replace("\r\n", "\n"), re.DOTALL)
    says, head = match[1] if match else "", Head()
    # The line break of the file's first line stays in it, so line numbers are those of the file.
    if says.strip():
        head = parse(Head, says, f"template {name}", plain=True)
    jinja = plain_jinja(fence=fence) if ours else Sandbox(fence=fence)
    lines = match[1].count("\n") + 2 if match else 0
    try:
        with limited():
            body = match[2] if match else text
            start, body = _halves(jinja, body) if ours else (None, jinja.from_string(body))
    except jinja2.TemplateSyntaxError as error:
        near = re.match(r"No filter named '(\w+)'", error.message or "")
        known = nearest(near[1], jinja.filters) if near else ""
        raise UsageError(
            f"template {name}, line {error.lineno + lines}: {str(error.message).rstrip('.')}{known}"
        ) from None
    except Exception as error:  # e.g. nesting deeper than Python's compiler allows
        raise UsageError(f"template {name}: cannot be compiled: {reason_of(error)}") from None
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return Template(
        name=name,
        identity=f"{Path(name).stem}@{digest}",
        start=start,
        body=body,
        head=lines,
        **dict(head),
    )


def _halves(jinja: jinja2.Environment, text: str) -> tuple[jinja2.Template | None, jinja2.Template]:
    """Split a template before its first use of the sample.

    Not used for users' templates: each half would get the limits of a whole.
    """
    tree = jinja.parse(text)
    common = list(takewhile(_is_of_all, tree.body))
    if not common:
        return None, jinja.from_string(tree)
    start, body = (
        jinja.from_string(nodes.Template(half, lineno=1, environment=jinja))
        for half in (common, tree.body[len(common) :])
    )
    return start, body


def _is_of_all(node: nodes.Node) -> bool:
    """Return whether a node renders the same for all samples and does not affect the nodes after it."""
    if isinstance(node, LASTING) or next(node.find_all(LASTING), None):
        return False
    return OF_SAMPLE.isdisjoint(name.name for name in node.find_all(nodes.Name))


@cache
def load_template(spec: str) -> Template:
    """Return a built-in template by name, or one from a file that ends in ``.jinja`` (or ``.jinja2``, ``.j2``).

    Raises:
        UsageError: no such template.
    """
    found = find(TEMPLATES, spec)
    # Other endings are refused, so a downloaded judge cannot send a private file to its server.
    if found is None:
        raise unknown(TEMPLATES, spec)
    return parse_template(found.text, found.name if found.ours else spec, found.ours)


def template_names() -> list[str]:
    """Return the names of the built-in templates, sorted."""
    return names(TEMPLATES)
