"""From token probabilities to label probabilities, for labels of one or several tokens.

A label's probability is that of the event "the text after the cue begins with this label, and with no longer label of the
scale", given that it begins with one of the labels. For labels of one token this is a softmax over their own logits. For a
label of several tokens it is the product of the conditional probabilities along its path (each over the whole vocabulary),
and a label that is a prefix of another (``1`` and ``10``) loses the probability of the longer one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Path = tuple[int, ...]


@dataclass(frozen=True)
class LabelPaths:
    """Tokens of the cue and the labels after it.

    Attributes:
        shared: tokens common to all labels (the cue, and often a space), part of the prompt.
        paths: label -> its own tokens after ``shared``; never empty, all different.
        whole: a token with complete characters that begins no label, for labels whose tokens may end inside a character (是,
            예, صحيح, 👍): llama.cpp reports no probabilities when the token it draws ends inside one.
    """

    shared: Path
    paths: dict[str, Path]
    whole: int | None = None

    @property
    def branches(self) -> dict[Path, tuple[int, ...]]:
        """Return the inner nodes of the tree of labels: path so far -> possible next tokens.

        The empty path comes first; its tokens are the labels' first tokens.
        """
        nodes: dict[Path, list[int]] = {(): []}
        for path in self.paths.values():
            for depth, token in enumerate(path):
                children = nodes.setdefault(path[:depth], [])
                if token not in children:
                    children.append(token)
        return {
            path: tuple(children)
            for path, children in sorted(nodes.items(), key=lambda n: len(n[0]))
        }


def whole_texts(labels: Sequence[str]) -> tuple[str, ...]:
    """Return candidate texts for the token ``LabelPaths.whole``; empty where no token ends inside a character."""
    return () if all(label.isascii() for label in labels) else tuple("abcdefghij")


# Text before a gap, which is not tokenised on its own: many tokenisers merge white space with the following text.
ANCHOR = "a"


def label_texts(cue: str, labels: Sequence[str], joint: str = " ", gap: str = "") -> list[str]:
    """Return all texts that ``label_paths`` tokenises."""
    texts = [f"{gap}{cue}{joint}{label}" for label in labels]
    anchored = [ANCHOR, *(ANCHOR + text for text in texts)] if gap else []
    return [*texts, *anchored, *whole_texts(labels)]


def label_paths(
    tokenize: Callable[[str], Sequence[int]],
    cue: str,
    labels: Sequence[str],
    joint: str = " ",
    gap: str = "",
) -> LabelPaths:
    """Tokenise ``cue``, ``joint`` and label for every label and split off the common prefix.

    Args:
        tokenize: text -> token ids, without begin-of-text and control tokens.
        gap: white space before the cue and after other text.

    Raises:
        ValueError: two labels have the same tokens.
    """
    texts = {label: f"{gap}{cue}{joint}{label}" for label in labels}
    whole = {label: tuple(tokenize(text)) for label, text in texts.items()}
    if gap:
        anchor = tuple(tokenize(ANCHOR))
        behind = {label: tuple(tokenize(ANCHOR + text)) for label, text in texts.items()}
        if all(path[: len(anchor)] == anchor for path in behind.values()):
            whole = {label: path[len(anchor) :] for label, path in behind.items()}
    first = next(iter(whole.values()))
    depth = 0
    # Leave every label at least one token of its own.
    limit = min(len(path) for path in whole.values()) - 1
    while depth < limit and all(path[depth] == first[depth] for path in whole.values()):
        depth += 1
    paths = {label: path[depth:] for label, path in whole.items()}
    if len(set(paths.values())) < len(paths):
        raise ValueError(
            f"the model's tokeniser cannot tell these labels apart: {', '.join(labels)}"
        )
    taken = {token for path in paths.values() for token in path}
    tokens = (tokenize(text)[-1] for text in whole_texts(labels))
    token = next((token for token in tokens if token not in taken), None)
    return LabelPaths(shared=first[:depth], paths=paths, whole=token)


def label_probabilities(
    paths: LabelPaths, logs: Mapping[Path, Mapping[int, float]]
) -> dict[str, float]:
    """Combine the log-probabilities at the nodes of the label tree.

    Args:
        logs: path -> {next token: natural log of its probability} for every node of
            ``paths.branches``. At the root the values may share any constant offset (logits do);
            at inner nodes they must be normalised over the whole vocabulary.

    Returns:
        label -> probability, in the labels' order; sums to 1.
    """
    weight = {
        label: sum(logs[path[:i]][token] for i, token in enumerate(path))
        for label, path in paths.paths.items()
    }
    top = max(weight.values())
    if not math.isfinite(top):
        raise ValueError("no label has a finite probability")
    mass = {label: math.exp(value - top) for label, value in weight.items()}
    own = dict(mass)
    for label, path in paths.paths.items():
        parent = max(
            (o for o, p in paths.paths.items() if len(p) < len(path) and path[: len(p)] == p),
            key=lambda o: len(paths.paths[o]),
            default=None,
        )
        if parent is not None:
            own[parent] -= mass[label]
    own = {label: max(value, 0.0) for label, value in own.items()}
    total = sum(own.values())
    return {label: value / total for label, value in own.items()}
