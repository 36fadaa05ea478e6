"""Word problems: answers recomputed, every step read again, and nothing but the mistake tells right from wrong."""

from __future__ import annotations

import ast
import re
from collections import Counter
from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.curate.critiques.filter import flaw, trimmed
from mene.curate.make import arithmetic, problems
from mene.curate.make.expression import holds, number, parsed, shown, value
from mene.curate.make.slips import KINDS, slips
from mene.curate.raw.sources import Point

EQUATION = re.compile(r"((?:[\d.]+|[()+×÷−] ?| )+) = ([\d.]*\d)")


@pytest.fixture(scope="module")
def made() -> list[Point]:
    return list(arithmetic.points(3, 1200))


def equations(text: str) -> list[tuple[Fraction, Fraction]]:
    """Both sides of every equation of a text, read by Python's own parser and not by the generator's."""
    found = []
    for left, right in EQUATION.findall(text):
        plain = left.strip().translate(str.maketrans("×÷−", "*/-")).replace(". ", "")
        plain = re.sub(r"(\d+(?:\.\d+)?)", r"Fraction('\1')", plain)
        ast.parse(plain, mode="eval")
        found.append((eval(plain), Fraction(right)))  # of our own text
    return found


def test_the_bank_is_large() -> None:
    assert len(problems.problems()) >= 40


@given(st.sampled_from(problems.problems()), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_steps_come_to_the_formula_and_slips_do_not(problem: problems.Problem, seed: int) -> None:
    one = problems.drawn(problem, seed)
    right = problems.work(one, problem.steps)
    assert right is not None
    assert right.lines[-1].value == value(problem.formula, one.values)
    assert "{" not in problems.asked(one) + right.answer
    for line in right.lines:
        ((left, said),) = equations(line.calculation)
        assert left == said == line.value
        assert line.calculation in line.text
    for kind in KINDS:
        for slip in slips(kind, one, right):
            assert slip.worked.answer != right.answer
            assert slip.worked.lines[-1].value != right.lines[-1].value
            wrong = [
                n
                for n, line in enumerate(slip.worked.lines)
                for a, b in equations(line.calculation)
                if a != b
            ]
            # Only a slip in a sum makes an equation false, and only that one: the rest follows from it.
            assert wrong == ([slip.at] if kind == "sum" else [])
            # Before the slip nothing differs.
            assert slip.worked.lines[: slip.at] == right.lines[: slip.at]
            if kind in ("operation", "sum", "misread"):
                assert len(slip.worked.lines) == len(right.lines)
                assert slip.worked.lines[slip.at].calculation in slip.blame
                assert right.lines[slip.at].calculation in slip.false
            elif kind == "skipped":
                assert len(slip.worked.lines) == len(right.lines) - 1
                assert right.lines[slip.at].calculation in slip.blame
            else:
                assert len(slip.worked.lines) == len(right.lines) + 1
                assert slip.worked.lines[slip.at].calculation in slip.blame


def test_every_problem_can_go_wrong_in_several_ways() -> None:
    for problem in problems.problems():
        found = set()
        for seed in range(3):
            one = problems.drawn(problem, seed)
            right = problems.work(one, problem.steps)
            assert right is not None
            found |= {kind for kind in KINDS if slips(kind, one, right)}
        assert {"sum", "operation"} <= found, problem.name


def test_pairs_and_single_responses(made: list[Point]) -> None:
    alone = {p.id: p for p in made}
    pairs = [p for p in made if p.criterion.scale.kind == "pairwise"]
    assert 0.45 < sum(p.label == "A" for p in pairs) / len(pairs) < 0.55
    for point in pairs[:-1]:
        right, wrong = alone[point.id[:-4] + "right"], alone[point.id[:-4] + "wrong"]
        assert (right.label, wrong.label) == ("Yes", "No")
        texts = [right.sample.response, wrong.sample.response]
        assert [point.sample.response_a, point.sample.response_b] == (
            texts if point.label == "A" else texts[::-1]
        )


def test_the_score_is_the_number_of_right_steps(made: list[Point]) -> None:
    scores = [p for p in made if p.criterion.scale.kind == "ordinal"]
    by_scale: dict[str, Counter[str]] = {}
    for point in scores:
        lines = re.findall(r"^(?:Step \d+:|\d+\.) ", point.sample.response or "", re.M)
        assert len(lines) == int(point.criterion.scale.labels[-1])
        assert point.value == float(point.label)
        whole = int(point.label) == len(lines)
        assert (point.critique or "").startswith("Every step") == whole
        if not whole:
            assert (point.critique or "").startswith(f"Step {int(point.label) + 1} ")
        by_scale.setdefault(str(point.criterion.scale), Counter())[point.label] += 1
    for counts in by_scale.values():
        if counts.total() > 60:  # no count is much likelier than the others
            assert max(counts.values()) < 3 * min(counts.values())


def test_length_does_not_tell(made: list[Point]) -> None:
    right = [p.sample.response or "" for p in made if p.id.endswith("right")]
    wrong = [p.sample.response or "" for p in made if p.id.endswith("wrong")]
    assert sum(map(len, right)) / len(right) == pytest.approx(
        sum(map(len, wrong)) / len(wrong), rel=0.02
    )
    for sign in "+−×÷":  # nor does the operation
        one, other = ("".join(texts).count(sign) for texts in (right, wrong))
        assert one == pytest.approx(other, rel=0.08)
    longer = sum(len(a) > len(b) for a, b in zip(right, wrong, strict=False))
    shorter = sum(len(a) < len(b) for a, b in zip(right, wrong, strict=False))
    assert abs(longer - shorter) < 0.15 * len(right)


def test_reasons_are_fit_to_be_learned(made: list[Point]) -> None:
    for point in made:
        assert point.critique and point.rejected
        for label, text in ((point.label, point.critique), point.rejected):
            assert flaw(trimmed(text), label, point.criterion.scale.labels) is None, text
            assert trimmed(text) == text
        assert point.rejected[0] != point.label
        assert point.rejected[0] in point.criterion.scale.labels


def test_the_same_seed_gives_the_same_points_and_none_twice(made: list[Point]) -> None:
    assert list(arithmetic.points(3, 150)) == made[:150]
    assert len({p.name for p in made}) == len(made) == 1200
    other = list(islice(arithmetic.points(4, 300), 300))
    assert {p.sample.instruction for p in other} != {p.sample.instruction for p in made[:300]}


@given(
    st.recursive(
        st.integers(1, 99), lambda e: st.tuples(e, st.sampled_from("+-*/"), e), max_leaves=6
    )
)
def test_a_calculation_is_shown_as_it_is_meant(tree) -> None:
    def text(one) -> str:
        return str(one) if isinstance(one, int) else f"({text(one[0])} {one[1]} {text(one[2])})"

    expression = parsed(text(tree))
    try:
        expected = value(expression, {})
    except ZeroDivisionError:
        return
    again = shown(expression, {}).translate(str.maketrans("×÷−", "*/-"))
    assert value(parsed(again), {}) == expected


def test_numbers_and_conditions() -> None:
    assert [number(Fraction(n)) for n in ("12", "4.5", "0.25", "100")] == [
        "12",
        "4.5",
        "0.25",
        "100",
    ]
    values = {"a": Fraction(3), "b": Fraction(4)}
    assert holds("a < b and a * 4 == b * 3", values)
    assert not holds("a > b", values)
    with pytest.raises(TypeError):
        holds("a", values)
    with pytest.raises(TypeError):
        value(parsed("a ** 2"), values)
