"""A file of rules in YAML: a criterion and its rules per line, or these under ``rules``, with settings.

faithfulness: share(Yes) >= 0.95
tone: [mean >= 3.5, no drop against baseline.jsonl]

rules:
  faithfulness: share(Yes) >= 0.95
confidence: 0.9
together: true
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mene.errors import UsageError, nearest_file
from mene.gate.rules import HOW, Rule, parse_rule, parse_test
from mene.library.check import checked, mapping
from mene.library.yaml_file import place, read_yaml

CannotTell = Literal["pass", "fail"]


class Terms(BaseModel):
    """Settings of a gate. None means not set.

    Attributes:
        confidence: of each decision, 0.5 to 1.
        together: the confidence applies to all rules together.
        cannot_tell: what an undecided rule counts as.
        errors: maximum share of rows that may fail, unless a rule sets it.
        must_pass: criterion -> whether its rules can fail the gate; True for all others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float | None = Field(default=None, ge=0.5, lt=1)
    together: bool | None = None
    cannot_tell: CannotTell | None = None
    errors: float | None = Field(default=None, ge=0, le=1)
    must_pass: dict[str, bool] = Field(default_factory=dict)


class _File(Terms):
    rules: Any = None


def read_rules(path: Path) -> tuple[list[Rule], Terms]:
    """Return the rules of a file. Paths of baselines are relative to the file's folder.

    Raises:
        UsageError: names the file, the line, and the character of the rule.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        near = nearest_file(path, (".yaml", ".yml"))
        raise UsageError(f"{path}: cannot read the rules: {error.strerror}{near}") from None
    rules, terms = parse_rules(text, str(path))
    return [_from_folder(rule, path.parent) for rule in rules], terms


def parse_rules(text: str, source: str) -> tuple[list[Rule], Terms]:
    """Return the rules in a text, like ``read_rules``.

    Raises:
        UsageError: as there.
    """
    data = read_yaml(text, source, plain=True)
    above: tuple[str | int, ...] = ()
    terms = Terms()
    if isinstance(data, dict) and isinstance(data.get("rules"), dict | list):
        said = {k: v for k, v in mapping(_File, text, source).items() if k != "rules"}
        terms = checked(Terms, said, lambda keys: place(text, source, keys))
        data, above = data["rules"], ("rules",)

    def where(*keys: str | int) -> str:
        return place(text, source, (*above, *keys))

    rules = list(_rules(data, where))
    if not rules:
        raise UsageError(f"{source}: there is no rule in it; {HOW}, behind a criterion and a colon")
    return rules, terms


def _rules(data: Any, where: Callable[..., str]) -> Iterator[Rule]:
    if isinstance(data, list):
        for number, item in enumerate(data):
            if isinstance(item, dict):
                yield from _of_criteria(item, lambda *keys, n=number: where(n, *keys))
            else:
                yield parse_rule(_text(item, where(number)), where(number))
    elif isinstance(data, dict):
        yield from _of_criteria(data, where)
    elif data is not None:
        yield parse_rule(_text(data, where()), where())


def _of_criteria(data: dict[Any, Any], where: Callable[..., str]) -> Iterator[Rule]:
    for criterion, tests in data.items():
        if criterion in Terms.model_fields and not isinstance(tests, list):
            raise UsageError(
                f"{where(criterion)}: {criterion} says how rules are judged; put the rules themselves under `rules:`"
            )
        listed = isinstance(tests, list)
        for number, test in enumerate(tests if listed else [tests]):
            here = where(criterion, number) if listed else where(criterion)
            yield parse_test(str(criterion), _text(test, f"{here}: {criterion}"), here)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: this is no rule; {HOW}")
    return " ".join(value.split())


def _from_folder(rule: Rule, folder: Path) -> Rule:
    if rule.baseline is None or Path(rule.baseline).is_absolute():
        return rule
    return replace(rule, baseline=str(folder / rule.baseline))
