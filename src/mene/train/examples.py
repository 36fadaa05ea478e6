"""Training pairs as tokens, and tokens as packs, the unit that a training step reads.

A pair's two completions, and all pairs with a common prefix, are packed into one prefix tree (``engines/in_process/tree.py``),
so
that a prompt is computed once for both completions and a rubric once for all its samples. The tokens are those that the
Transformers engine reads when it judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mene.curate.mix import rank
from mene.curate.pair import Pair
from mene.engines.in_process.tree import Tree, common_start, divided, packs
from mene.engines.labels import label_paths
from mene.engines.transformers.model import Loaded


@dataclass(slots=True)
class Example:
    """One prompt and its completions.

    Attributes:
        prompt: tokens.
        completions: tokens; of a training pair the chosen and the rejected one, of a development row one per label.
        right: of a development row, index of the completion with the right label.
        compared: of a response that is asked about alone: name of its pair.
    """

    id: str
    source: str
    labels: tuple[str, ...]
    prompt: list[int]
    completions: list[list[int]]
    right: int = 0
    compared: str | None = None


@dataclass(slots=True)
class Pack:
    """Examples that are computed together, as one prefix tree.

    Attributes:
        tree: over prompt + completion, for every completion of every example, in order.
        nodes: nodes of the tree whose logits are needed.
        rows, targets, owners: for every token of every completion: the index in ``nodes`` of the node that predicts it, the
            token, and the number of its completion.
        lengths: tokens of each completion.
        compared: numbers of the two examples of each pointwise pair. Shape (pairs, 2).
    """

    examples: list[Example]
    tree: Tree
    nodes: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    owners: np.ndarray
    lengths: np.ndarray
    compared: np.ndarray

    @classmethod
    def of(cls, examples: list[Example]) -> Pack:
        sequences = [e.prompt + c for e in examples for c in e.completions]
        starts = [len(e.prompt) for e in examples for _ in e.completions]
        tree = Tree.of(sequences)
        rows, targets, owners, lengths = [], [], [], []
        each = zip(sequences, starts, tree.places, strict=True)
        for owner, (sequence, start, places) in enumerate(each):
            rows += places[start - 1 : -1]
            targets += sequence[start:]
            owners += [owner] * (len(sequence) - start)
            lengths.append(len(sequence) - start)
        nodes, inverse = np.unique(rows, return_inverse=True)
        return cls(
            examples,
            tree,
            nodes,
            inverse.reshape(-1),
            np.array(targets),
            np.array(owners),
            np.array(lengths),
            np.array(partners(examples), np.int64).reshape(-1, 2),
        )

    @property
    def units(self) -> int:
        """Number of examples, the two of a pair counted once."""
        return len(self.examples) - len(self.compared)


def partners(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Return the numbers of the two examples of each pointwise pair, response A first; incomplete pairs are left out."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        if example.compared is not None:
            found[example.compared].append(number)
    named = [sorted(two, key=lambda number: examples[number].id) for two in found.values()]
    return [(two[0], two[1]) for two in named if len(two) == 2]


def sample(pairs: Iterable[Pair], most: int | None, seed: int) -> list[Pair]:
    """Draw ``most`` of the pairs by hash of their group, so that both orders of a pair stay together; one less where
    the limit would separate two compared questions, or one more where nothing would be left."""
    found = list(pairs)
    if most is None or most >= len(found):
        return found
    found.sort(key=lambda p: (rank(seed, "sample", p.group), p.id))
    last, first = found[most - 1].compared, found[most].compared
    # One more where they are the only ones.
    return found[: (most - 1 or 2) if last and last == first else most]


def example(
    pair: Pair, loaded: Loaded, *, all_labels: bool = False, rejected: bool = True
) -> Example:
    """Tokenise a pair as the engine reads it.

    In verdict mode the prompt ends with the cue, and a completion is a label. In critique mode the prompt ends with the
    opening of the reasoning, and a completion is the critique, the cue, a label, and the end of the turn. In reason mode it is
    the critique and the end of the turn.

    Args:
        all_labels: one completion per label instead of chosen and rejected (verdict mode).
        rejected: whether a loss reads the rejected critique; otherwise only its first token is kept.
    """
    text, asked = loaded.chat([m._asdict() for m in pair.messages]), pair.request
    paths = label_paths(loaded.tokenize, *asked.label_key)
    if pair.mode == "verdict":
        prompt = loaded.ids(text) + list(paths.shared)
        wanted = pair.labels if all_labels else (pair.label, pair.wrong)
        completions = [list(paths.paths[label]) for label in wanted]
    else:
        wholes = []
        answers = (pair.critique, pair.label), (pair.rejected_critique, pair.wrong)
        for critique, label in answers:
            written = text + pair.reasoned(critique)
            if asked.choose:
                whole = [*loaded.ids(asked.closed(written)), *paths.shared, *paths.paths[label]]
            else:
                whole = loaded.ids(written)
            wholes.append([*whole, loaded.tokenizer.eos_token_id])
        opening = loaded.ids(text + asked.opening)
        start = min(common_start(opening, whole) for whole in wholes)
        prompt = wholes[0][:start]
        completions = [whole[start:] for whole in wholes]
        if not rejected:
            completions[1] = completions[1][:1]
    right = pair.labels.index(pair.label)
    return Example(pair.id, pair.source, pair.labels, prompt, completions, right, pair.compared)


def packed(
    examples: Sequence[Example], most: int, seed: int, count: int | None = None
) -> list[Pack]:
    """Return packs of about ``most`` tokens, with common prefixes together, in a random order by ``seed``.

    Args:
        count: number of packs to make instead, whatever their size; at most the number of examples.
    """
    prompts = [e.prompt for e in examples]
    together = [e.compared or e.id for e in examples]
    if count is None:
        beyond = [sum(map(len, e.completions)) for e in examples]
        groups = packs(prompts, most, together, beyond=beyond)
    else:
        groups = divided(prompts, count, together)
    return spread([Pack.of([examples[i] for i in group]) for group in groups], seed)


def spread(found: Iterable[Pack], seed: int) -> list[Pack]:
    """Return packs in a random order by ``seed``, with those of each set evenly spaced.

    A pack has only one or few rubrics. In a purely random order, some steps would read mostly scores and others none, and
    the model's preferences among labels would oscillate.
    """
    by_source: dict[str, list[Pack]] = defaultdict(list)
    for pack in sorted(found, key=lambda pack: rank(seed, "pack", pack.examples[0].id)):
        by_source[pack.examples[0].source].append(pack)
    places = [
        ((number + rank(seed, "spread", source)) / len(own), source, pack)
        for source, own in by_source.items()
        for number, pack in enumerate(own)
    ]
    return [pack for _, _, pack in sorted(places, key=lambda place: place[:2])]
