"""The view that a template has of a criterion and a sample: plain text, without access to files."""

from __future__ import annotations

from typing import Any, NamedTuple

import jinja2

from mene.criterion import Criterion
from mene.sample import FIELDS


class PlainScale(NamedTuple):
    """A scale as a template sees it; as text, its short form."""

    kind: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    is_binary: bool
    short: str

    def __str__(self) -> str:
        return self.short


class PlainCriterion(NamedTuple):
    """A criterion as a template sees it: plain text only."""

    name: str
    question: str
    scale: PlainScale
    labels: dict[str, str]
    needs: tuple[str, ...]
    uses: tuple[str, ...]
    failing: tuple[str, ...]
    shown: tuple[str, ...]


def _plain(criterion: Criterion) -> PlainCriterion:
    scale, labels = criterion.scale, dict(criterion.labels)
    plain = PlainScale(scale.kind, scale.labels, scale.values, scale.is_binary, str(scale))
    c = criterion
    return PlainCriterion(
        c.name, c.question, plain, labels, c.needs, c.uses, c.failing or (), c.shown
    )


class Asked(NamedTuple):
    """Template variables that are the same for every sample of a criterion."""

    criterion: PlainCriterion
    form: str
    choices: str
    published: dict[str, str]
    begun: dict[tuple[jinja2.Template, bool], tuple[dict[str, Any], str]]  # see ``Template._same``


# The last criterion and its template variables: most rows have the same one. Criteria are immutable.
_last: tuple[Criterion, Asked] | None = None


def asked_of(criterion: Criterion) -> Asked:
    """Return the template variables of a criterion."""
    global _last
    known = _last  # read once: another thread may set it
    if known is not None and known[0] is criterion:
        return known[1]
    kind = criterion.scale.kind
    form = {"ordinal": "absolute", "nominal": "classification"}.get(kind, kind)
    rubric = _published_rubric(criterion)
    asked = Asked(_plain(criterion), form, _choices(criterion), rubric, {})
    _last = criterion, asked
    return asked


def _choices(criterion: Criterion) -> str:
    """``an integer from 1 to 5``, ``Yes or No``, ``A, B or tie``."""
    labels = list(criterion.scale.labels)
    if "-" in str(criterion.scale) and criterion.scale.kind == "ordinal" and len(labels) > 2:
        return f"an integer from {labels[0]} to {labels[-1]}"
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def published_names(fields: dict[str, str | None]) -> dict[str, str]:
    """Return the sample's variables under the names of Atla's published template files, so that those run unchanged."""
    return {
        "user_input": fields["instruction"] or "",
        "assistant_response": fields["response"] or "",
        "assistant_response_a": fields["response_a"] or "",
        "assistant_response_b": fields["response_b"] or "",
        "reference_response": fields["reference"] or "",
    }


def _published_rubric(criterion: Criterion) -> dict[str, str]:
    """Return the criterion's variables under the names of Atla's published template files."""
    score = "score_" if criterion.scale.kind == "ordinal" else ""
    described = {
        f"rubric_{score}{label.lower()}_description": text
        for label, text in criterion.labels.items()
    }
    return {"rubric_objective": criterion.question, **described}


# Names of all template variables that come from a sample.
OF_SAMPLE = frozenset((*FIELDS, *published_names(dict.fromkeys(FIELDS))))
