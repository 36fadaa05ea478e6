"""From a sample to the requests of one verdict, and the key that identifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mene.criterion import Criterion
from mene.engines.base import Completion, Engine, Request
from mene.judge.claims import by_claims
from mene.judge.combine import meant
from mene.judge.comparison import TOGETHER, Comparison, Question, comparison_for
from mene.judge.preset import Preset
from mene.judge.truncate import fitted, with_short_results
from mene.message import GAP, JOINT, Message
from mene.sample import Sample
from mene.scale import Scale
from mene.template import Template
from mene.verdict import hash_of


def request_of(
    template: Template,
    criterion: Criterion,
    sample: Sample,
    engine: Engine,
    *,
    tokens: int = 0,
    index: int = 0,
) -> Request:
    """Return the request of a template about one sample. Its labels are as the template writes them; ``meant`` maps the answer.

    Args:
        tokens: maximum length of a critique before the label; 0 = verdict mode.

    Raises:
        UsageError, SampleError: see ``Template.render``.
    """
    messages = template.render(
        criterion, sample, critique=bool(tokens), control_tokens=engine.control_tokens
    )
    return Request(
        index=index,
        messages=messages,
        labels=template.written(criterion.scale),
        opening=template.opening,
        cue=template.cue,
        critique_tokens=tokens,
        gap=template.gap,
        joint=template.joint,
    )


@dataclass(frozen=True, slots=True)
class Ask:
    """All requests for one verdict of one judge, and the key that identifies them.

    Attributes:
        questions: what is asked; ``comparison`` turns the answers into a verdict.
        requests: all draws of the first question, then those of the next one.
    """

    comparison: Comparison
    questions: tuple[Question, ...]
    requests: tuple[Request, ...]
    key: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asker:
    """Builds requests from a preset and its template."""

    preset: Preset
    template: Template
    engine: Engine

    def ask(self, sample: Sample, criterion: Criterion) -> Ask:
        """Return all requests for one verdict on ``sample``.

        Raises:
            SampleError: a needed field is missing, or the prompt does not fit.
            EngineError: the engine cannot count the tokens that truncation needs.
        """
        criterion.check(sample)
        scale, preset = criterion.scale, self.preset
        comparison = comparison_for(criterion, preset.compare)
        if preset.claims:
            comparison = by_claims(sample, criterion)
        questions = comparison.ask(sample, criterion)
        tokens = preset.critique_tokens if preset.mode == "critique" else 0
        requests: list[Request] = []
        notes = [
            f"{field} is empty"
            for field in criterion.shown
            if (text := getattr(sample, field)) is not None and not text.strip()
        ]
        for question in questions:
            request, cut = self._request(*question, tokens)
            if cut and cut not in notes:
                notes.append(cut)
            for draw in range(preset.samples):
                requests.append(replace(request, seed=preset.seed + draw) if draw else request)
        said = [self.engine.identity, preset.samples, notes]
        said += [
            [r.messages, r.labels, r.opening, r.cue, r.critique_tokens, r.temperature, seed]
            for r, seed in zip(requests, self._seeds(requests), strict=True)
        ]
        # Part of the key only where unusual, so that keys from before these settings existed stay valid.
        said += [
            [r.gap, r.joint, scale.labels]
            for r in requests
            if (r.gap, r.joint, r.labels) != (GAP, JOINT, scale.labels)
        ]
        said += [["weights alone"] for r in requests if r.adapter is None]
        if scale.kind == "pairwise":  # the comparison can combine the same answers differently
            said.append([scale.labels, comparison.name])
        if comparison is not TOGETHER and preset.claims:
            said.append(["claims", criterion.failing])
        return Ask(comparison, questions, tuple(requests), hash_of(said), tuple(notes))

    def _seeds(self, requests: Sequence[Request]) -> list[int]:
        """Return the seeds as the key has them: where nothing is drawn at random, another seed changes nothing."""
        own = self.preset.seed
        return [r.seed if r.temperature > 0 else r.seed - own for r in requests]

    def request(
        self, sample: Sample, criterion: Criterion, tokens: int, reserve: int = 0
    ) -> tuple[Request, str | None]:
        """Return one request, and a note of what was cut to make it fit (None: nothing).

        Args:
            tokens: maximum length of a critique before the label; 0 = verdict mode.
            reserve: tokens that must still fit after the prompt.

        Raises:
            SampleError: a needed field is missing, or the prompt does not fit.
            EngineError: the engine cannot count the tokens that truncation needs.
        """
        criterion.check(sample)
        return self._request(sample, criterion, tokens, reserve)

    def _request(
        self, sample: Sample, criterion: Criterion, tokens: int, reserve: int = 0
    ) -> tuple[Request, str | None]:
        if not self.preset.truncate:
            return self._render(sample, criterion, tokens), None
        fit = with_short_results if self.preset.truncate == "results" else fitted
        return fit(self.engine, lambda cut: self._render(cut, criterion, tokens), sample, reserve)

    def _render(self, sample: Sample, criterion: Criterion, tokens: int) -> Request:
        preset = self.preset
        request = request_of(self.template, criterion, sample, self.engine, tokens=tokens)
        system = () if preset.system is None else (Message("system", preset.system),)
        return replace(
            request,
            messages=(*system, *request.messages),
            temperature=preset.temperature if tokens else 0.0,
            seed=preset.seed,
            thought_tokens=0 if tokens else preset.thought_tokens,
            adapter=preset.critic_adapter if tokens else 0,
        )

    def read(self, completion: Completion, written: tuple[str, ...], scale: Scale) -> Completion:
        """Return a completion with its labels mapped to the scale and its critique without the template's tags."""
        said = meant(completion, written, scale.labels)
        if said.critique:
            said = replace(said, critique=self.template.tidy(said.critique))
        return said
