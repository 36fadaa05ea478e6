"""Several criteria for one run: which, how much each weighs, and which of them a sample must pass.

A set is YAML that users write::

    criteria:
    - faithfulness                       # built in, a file, or a question
    - Is the reply polite?
    - {criterion: tone, weight: 0.5}
    - name: short
      question: Is the reply short?    # without a scale: yes/no
      must_pass: true
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from mene.criterion import Criterion, is_set, load_criterion
from mene.errors import UsageError
from mene.library.check import Keys, checked, mapping
from mene.library.load import CRITERIA, find
from mene.library.yaml_file import place
from mene.verdict import Verdict

# Begins the columns of what a set comes to, as a criterion's name begins its own (``runs/wide.py``).
WHOLE = "overall"

# A criterion in any form: loaded, a name, a file, a question in words, or a mapping with the keys of a set's entry.
AnyCriterion = Criterion | str | Mapping[str, Any]


class Rule(BaseModel):
    """How one criterion of a set counts.

    Attributes:
        weight: of the criterion's value in the sample's weighted mean, 0 or more.
        must_pass: a sample with a failing label on this criterion does not pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: FiniteFloat = Field(default=1.0, ge=0)
    must_pass: bool = False


class _Named(Rule):
    """An entry that names a criterion defined elsewhere."""

    criterion: str
    name: str | None = None
    scale: str | None = None


class _File(BaseModel):
    """The top level of a set's file."""

    model_config = ConfigDict(extra="forbid")

    criteria: list[Any] = Field(min_length=1)


class Overall(NamedTuple):
    """The result of one sample over all criteria of a set.

    Attributes:
        score: weighted mean of the values (``value_of``), 0 to 1; None where a value is missing, or no criterion has a weight.
        passed: whether the sample passes all ``must_pass`` criteria. None where there are none, or where a missing verdict
            leaves it open.
    """

    score: float | None
    passed: bool | None


@dataclass(frozen=True)
class CriteriaSet:
    """Criteria with different names, in the order in which a judge applies them.

    Attributes:
        rules: criterion name -> rule, for criteria whose weight is not 1 or that must be passed.

    Raises:
        UsageError: it has rules, and a criterion with the name of their result.
    """

    criteria: tuple[Criterion, ...]
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rules and any(criterion.name == WHOLE for criterion in self.criteria):
            raise UsageError(
                f"a criterion is called {WHOLE}, which is the name of what a set with weights or must_pass comes to; give it "
                "another name (`name:` in its YAML)"
            )

    def __iter__(self) -> Iterator[Criterion]:
        return iter(self.criteria)

    def __len__(self) -> int:
        return len(self.criteria)

    def overall(self, verdicts: Mapping[str, Verdict]) -> Overall:
        """Return the weighted mean and pass or fail of one sample.

        Args:
            verdicts: criterion name -> the sample's verdict on it.
        """
        score = total = 0.0
        known = True
        passes: list[bool | None] = []
        for criterion in self.criteria:
            rule = self.rules.get(criterion.name, Rule())
            value = value_of(verdicts.get(criterion.name), criterion)
            if rule.weight and criterion.failing:
                known &= value is not None
                score += rule.weight * (value or 0.0)
                total += rule.weight
            if rule.must_pass:
                passes.append(_passes(verdicts.get(criterion.name), criterion))
        passed = None if not passes or (None in passes and False not in passes) else all(passes)
        return Overall(score / total if known and total else None, passed)


# Several criteria, as Python code passes them.
Several = CriteriaSet | list[Any] | tuple[Any, ...]


def value_of(verdict: Verdict | None, criterion: Criterion) -> float | None:
    """Return how good a verdict is, 0 (worst) to 1 (best).

    On an ordinal scale, the position of the score between the scale's ends, reversed where the high labels fail. On other
    scales, the total probability of the labels that do not fail. None where the verdict has no label, or the criterion has no
    failing labels.
    """
    if verdict is None or verdict.label is None or not criterion.failing:
        return None
    scale = criterion.scale
    if verdict.score is not None and scale.kind == "ordinal":
        low, high = scale.values[0], scale.values[-1]
        value = (verdict.score - low) / (high - low)
        return 1 - value if scale.labels[-1] in criterion.failing else value
    given = verdict.probabilities or {verdict.label: 1.0}
    return 1 - min(sum(given.get(label, 0.0) for label in criterion.failing), 1.0)


def _passes(verdict: Verdict | None, criterion: Criterion) -> bool | None:
    if verdict is None or verdict.label is None:
        return None
    return verdict.label not in (criterion.failing or ())


def load_criteria(
    given: AnyCriterion | Several,
    scale: str | None = None,
    uses: Collection[str] | None = None,
) -> CriteriaSet:
    """Return one criterion or several as a set.

    Examples:
        >>> [c.name for c in load_criteria(["faithfulness", "Is the reply polite?"])]
        ['faithfulness', 'is-the-reply-polite']

    Args:
        given: names, files (of a criterion or of a set), questions in words, or dicts with the keys of a set's entry.
        scale: short form, as for ``load_criterion``; not allowed with a file of a set, whose entries have their own.
        uses: fields that questions in words show beside the response; None: all.

    Raises:
        UsageError: nothing is given, no such field, two criteria have the same name, one has the name of the set's result, or
            an error of ``load_criterion``.
    """
    if isinstance(given, CriteriaSet):
        return given
    specs = [given] if isinstance(given, Criterion | str | Mapping) else list(given)
    found: list[tuple[Criterion, Rule | None]] = []
    for number, spec in enumerate(specs):
        found += _loaded(spec, scale, f"criterion {number + 1}")
    if uses is not None:
        found = [(c.showing(uses) if c.in_words else c, rule) for c, rule in found]
    if not found:
        raise UsageError("no criterion given; see `mene criteria`")
    by_name: dict[str, Criterion] = {}
    for criterion, _ in found:
        if (other := by_name.get(criterion.name)) is not None:
            raise UsageError(
                f"{criterion.name} is given twice; give it once"
                if other == criterion
                else f"two criteria are called {criterion.name}; give one of them another name (`name:` in its YAML)"
            )
        by_name[criterion.name] = criterion
    rules = {c.name: rule for c, rule in found if rule and rule != Rule()}
    return CriteriaSet(tuple(by_name.values()), rules)


def load_one(given: AnyCriterion | tuple[()]) -> Criterion:
    """Return a single criterion.

    Raises:
        UsageError: it is a set of several criteria, or an error of ``load_criteria``.
    """
    found = load_criteria(given).criteria
    if len(found) > 1:
        raise UsageError(
            f"{given} is a set of {len(found)} criteria, but only one is allowed here; name one of them, or give "
            "`mene.load_criteria(...)` where a list is allowed"
        )
    return next(iter(found))


def _loaded(
    spec: AnyCriterion, scale: str | None, what: str
) -> Iterator[tuple[Criterion, Rule | None]]:
    if isinstance(spec, Criterion):
        yield spec, None
    elif isinstance(spec, Mapping):
        yield _entry(dict(spec), lambda keys: what, Path())
    elif (file := _set_file(spec)) is None:
        yield load_criterion(spec, scale), None
    elif scale is not None:
        raise UsageError(f"--scale: each criterion of {spec} has its own scale; leave --scale out")
    else:
        yield from _read(*file)


def _set_file(spec: str) -> tuple[str, str, Path] | None:
    """Return text, source and folder of a set's file; None where ``spec`` is not one."""
    file = find(CRITERIA, spec)
    return (file.text, file.source, file.folder) if file and is_set(file.text) else None


def _read(text: str, source: str, folder: Path) -> Iterator[tuple[Criterion, Rule | None]]:
    data = mapping(_File, text, source, plain=True)
    for number, item in enumerate(
        checked(_File, data, lambda keys: place(text, source, keys)).criteria
    ):

        def where(keys: Keys, number: int = number) -> str:
            return place(text, source, ("criteria", number, *keys))

        if isinstance(item, dict):
            yield _entry(item, where, folder)
        elif isinstance(item, str):
            yield _from(folder, item, None, where), None
        else:
            raise UsageError(
                f"{where(())}: an entry is a criterion's name, file or question, or its keys"
            )


def _entry(
    item: dict[Any, Any], where: Callable[[Keys], str], folder: Path
) -> tuple[Criterion, Rule]:
    if "criterion" in item:
        named = checked(_Named, item, where)
        criterion = _from(folder, named.criterion, named.scale, where)
        if named.name is not None:
            criterion = criterion.model_copy(update={"name": named.name})
        rule = Rule(weight=named.weight, must_pass=named.must_pass)
    else:
        rule = checked(Rule, {k: v for k, v in item.items() if k in Rule.model_fields}, where)
        own = {k: v for k, v in item.items() if k not in Rule.model_fields}
        criterion = checked(Criterion, {"scale": "yes/no", **own}, where)
    if not criterion.failing and (rule.must_pass or (rule.weight and "weight" in item)):
        key = "must_pass" if rule.must_pass else "weight"
        raise UsageError(
            f"{where((key,))}: {criterion.name} does not say which labels fail; add them (`failing: [...]`), or leave {key} out"
        )
    return criterion, rule


def _from(folder: Path, spec: str, scale: str | None, where: Callable[[Keys], str]) -> Criterion:
    """Return the criterion that an entry names. A file is looked for in the folder of the set first."""
    beside = folder / spec
    try:
        return load_criterion(str(beside) if beside.is_file() else spec, scale)
    except UsageError as error:
        raise UsageError(f"{where(())}: {error}") from None
