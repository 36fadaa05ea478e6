"""The arithmetic of labels, against a brute-force reading of its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.engines.labels import LabelPaths, Path, label_paths, label_probabilities

ALPHABET = "abc"
# A label set over three letters is full of labels that begin other labels.
label_sets = st.lists(
    st.text(ALPHABET, min_size=1, max_size=4), min_size=2, max_size=7, unique=True
)


def letters(text: str) -> list[int]:
    """One token per character."""
    return [ord(c) for c in text]


def pieces(text: str) -> list[int]:
    """Greedy pairs where they are known, like a real vocabulary; else one token per character."""
    known = ["ab", "bc", "ca", " a", " b"]
    tokens: list[int] = []
    while text:
        pair = text[:2] in known
        tokens.append(1000 + known.index(text[:2]) if pair else ord(text[0]))
        text = text[2 if pair else 1 :]
    return tokens


def conditionals(data: st.DataObject, paths: LabelPaths) -> dict[Path, dict[int, float]]:
    """A random distribution per inner node over its children and 'anything else'."""
    nodes = {}
    for node, children in paths.branches.items():
        raw = [data.draw(st.integers(1, 20)) for _ in children]
        rest = data.draw(st.integers(0, 20))
        nodes[node] = {t: w / (sum(raw) + rest) for t, w in zip(children, raw, strict=True)}
    return nodes


def brute_force(paths: LabelPaths, nodes: dict[Path, dict[int, float]]) -> dict[str, float]:
    """Walk every way a text can go on and ask which is the longest label it begins with."""
    by_path = {path: label for label, path in paths.paths.items()}
    won = dict.fromkeys(paths.paths, 0.0)

    def walk(path: Path, p: float, longest: str | None) -> None:
        longest = by_path.get(path, longest)
        children = nodes.get(path, {})
        # The text leaves the tree here: it has no more labels in it.
        if longest is not None:
            won[longest] += p * (1 - sum(children.values()))
        for token, q in children.items():
            walk((*path, token), p * q, longest)

    walk((), 1.0, None)
    total = sum(won.values())
    return {label: p / total for label, p in won.items()}


def logs_of(nodes: dict[Path, dict[int, float]]) -> dict[Path, dict[int, float]]:
    return {n: {t: math.log(p) for t, p in row.items()} for n, row in nodes.items()}


@pytest.mark.parametrize("tokenize", [letters, pieces])
@given(labels=label_sets, data=st.data(), offset=st.floats(-50, 50))
@settings(max_examples=300)
def test_probabilities_are_those_of_the_event(tokenize, labels, data, offset):
    paths = label_paths(tokenize, "Result:", labels)
    nodes = conditionals(data, paths)
    expected = brute_force(paths, nodes)
    logs = logs_of(nodes)
    logs[()] = {t: v + offset for t, v in logs[()].items()}  # logits do as well as logs
    found = label_probabilities(paths, logs)
    assert list(found) == labels
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx(expected, abs=1e-9)


@given(labels=label_sets)
@settings(max_examples=200)
def test_paths_are_what_the_tokeniser_says(labels):
    paths = label_paths(pieces, "Result:", labels)
    for label, path in paths.paths.items():
        assert path
        assert [*paths.shared, *path] == pieces(f"Result: {label}")
    # Nothing more could be shared without leaving a label empty.
    if min(map(len, paths.paths.values())) > 1:
        assert len({path[0] for path in paths.paths.values()}) > 1


@given(labels=label_sets)
@settings(max_examples=200)
def test_branches_are_the_inner_nodes_root_first(labels):
    paths = label_paths(letters, "Result:", labels)
    branches = paths.branches
    assert next(iter(branches)) == ()
    edges = {(path[:i], path[i]) for path in paths.paths.values() for i in range(len(path))}
    assert {(node, t) for node, children in branches.items() for t in children} == edges
    assert sum(map(len, branches.values())) == len(edges)


def test_one_and_ten():
    paths = label_paths(letters, ":", ["0", "1", "10"])
    assert paths.shared == (ord(":"), ord(" "))
    one, zero = ord("1"), ord("0")
    logs = {(): {zero: math.log(0.2), one: math.log(0.4)}, (one,): {zero: math.log(0.25)}}
    found = label_probabilities(paths, logs)
    assert found == pytest.approx({"0": 0.2 / 0.6, "1": 0.3 / 0.6, "10": 0.1 / 0.6})


def test_three_nested_labels():
    paths = label_paths(letters, ":", ["a", "ab", "abc"])
    a, b, c = map(ord, "abc")
    logs = {(): {a: 0.0}, (a,): {b: math.log(0.5)}, (a, b): {c: math.log(0.5)}}
    assert label_probabilities(paths, logs) == pytest.approx({"a": 0.5, "ab": 0.25, "abc": 0.25})


def test_same_tokens_are_refused():
    with pytest.raises(ValueError, match="cannot tell these labels apart"):
        label_paths(lambda text: letters(text.lower()), ":", ["Yes", "yes"])


def test_no_finite_probability_is_refused():
    paths = label_paths(letters, ":", ["a", "b"])
    with pytest.raises(ValueError, match="finite"):
        label_probabilities(paths, {(): {ord("a"): -math.inf, ord("b"): -math.inf}})


def test_far_away_logits_do_not_overflow():
    paths = label_paths(letters, ":", ["a", "b"])
    found = label_probabilities(paths, {(): {ord("a"): 5000.0, ord("b"): -5000.0}})
    assert found == {"a": 1.0, "b": 0.0}


def test_labels_whose_tokens_may_end_inside_a_character_have_a_token_that_is_whole():
    def bytewise(text: str) -> list[int]:
        return list(text.encode())

    assert label_paths(bytewise, ":", ["是", "否"]).whole == ord("a")
    assert label_paths(bytewise, ":", ["aé", "b"]).whole == ord("c")  # a and b belong to labels
    assert label_paths(bytewise, ":", ["yes", "no"]).whole is None
