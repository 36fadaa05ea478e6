"""Evaluating a model in training on the development rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from mene.files import whole
from mene.judge.comparison import bradley_terry
from mene.scale import Scale
from mene.stats.agreement import BINS, calibration_error
from mene.train.examples import Example, Pack
from mene.train.forward import Model, Read, completion_logps, tensors


def label_probabilities(
    model: Model, packs: Iterable[Pack], read: Read = tensors
) -> list[tuple[Example, np.ndarray]]:
    """Return each example of packs made with ``all_labels`` with the probability of each of its labels, shape (labels,).

    The two examples of a pointwise pair become one, with the probabilities that A or B was chosen.
    """
    found = []
    training = model.training
    model.eval()
    with torch.inference_mode():
        for pack in packs:
            batch = {k: v.to(model.device) for k, v in read(pack).items()}
            logps = completion_logps(model, batch).cpu().numpy().astype(float)
            own = []
            for example in pack.examples:
                mine, logps = np.split(logps, [len(example.completions)])
                own.append(mine)
            pairs = dict(pack.compared.tolist())
            for number, (example, mine) in enumerate(zip(pack.examples, own, strict=True)):
                if number in pairs:
                    found.append(_compared(example, mine, own[pairs[number]]))
                elif number not in pairs.values():
                    found.append((example, _shares(mine)))
    model.train(training)
    return found


def _shares(logps: np.ndarray) -> np.ndarray:
    mass = np.exp(logps - logps.max())
    return mass / mass.sum()


def _compared(one: Example, mine: np.ndarray, other: np.ndarray) -> tuple[Example, np.ndarray]:
    """Return a pair's verdict from the answers (Yes or No) on each response, as a judge computes it."""
    scale, yes = Scale.pairwise(), 0  # of Yes and No, however a template writes them
    said = bradley_terry(float(_shares(mine)[yes]), float(_shares(other)[yes]), scale)
    whole = Example(
        one.compared or one.id,
        one.source,
        scale.labels,
        one.prompt,
        [],
        0 if one.right == yes else 1,
    )
    return whole, np.array(list(said.values()))


def figures(judged: list[tuple[Example, np.ndarray]]) -> dict[str, float]:
    """Return accuracy, its mean over the sets, expected calibration error, and mean log loss in nats."""
    right = np.array([probs.argmax() == example.right for example, probs in judged], float)
    confidence = np.array([probs.max() for _, probs in judged])
    loss = np.array([-np.log(max(probs[e.right], 1e-12)) for e, probs in judged])
    by_source: dict[str, list[float]] = defaultdict(list)
    for (example, _), hit in zip(judged, right, strict=True):
        by_source[example.source].append(hit)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return {
        "accuracy": float(right.mean()),
        "mean_of_sets": float(np.mean([np.mean(hits) for hits in by_source.values()])),
        "ece": calibration_error(bins, confidence, right) or 0.0,
        "log_loss": float(loss.mean()),
        "rows": len(judged),
    }


def write_judged(judged: list[tuple[Example, np.ndarray]], path: Path) -> None:
    """Write a line per verdict: ``id`` (of the row; for a pointwise pair, its ``compared``), ``source``, ``labels``, ``label``
    (the right one) and ``probabilities`` (of the labels, in their order). The file is replaced completely or not at all.
    """
    with whole(path) as file:
        for one, probabilities in judged:
            row = {
                "id": one.id,
                "source": one.source,
                "labels": list(one.labels),
                "label": one.labels[one.right],
                "probabilities": probabilities.tolist(),
            }
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
