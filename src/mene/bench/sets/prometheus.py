"""MT-Bench, Vicuna Bench, FLASK and HHH as published by prometheus-eval: every row is inside a complete judge prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]], name: str, gold: str) -> Iterator[dict[str, Any]]:
    """Yield the rows.

    Args:
        name: prefix of ids.
        gold: field of the score, or of several scores, whose mean is the label.
    """
    for number, record in enumerate(records):
        given = record[gold]
        scores = [float(s) for s in (given if isinstance(given, list) else [given])]
        yield {
            "id": f"{name}-{number:03d}",
            "source": record.get("category", "all"),
            "kind": "absolute",
            **sections(record["instruction"]),
            "scale": [1, 5],
            "label": sum(scores) / len(scores),
            "label_source": "gpt-4" if gold.startswith("gpt4") else "human",
            "scores": scores,
            "response_model": record.get("response_source"),
            "question_id": str(record.get("idx", number)),
        }


def sections(prompt: str) -> dict[str, Any]:
    """Return the parts of a Prometheus judge prompt.

    Raises:
        ValueError: a part is missing.
    """
    heads = {
        "instruction": "###The instruction to evaluate:",
        "response": "###Response to evaluate:",
        "reference": "###Reference Answer (Score 5):",
        "rubric": "###Score Rubrics:",
        "end": "###Feedback:",
    }
    at = {part: prompt.find(head) for part, head in heads.items()}
    at["end"] = prompt.rfind(heads["end"]) if at["end"] >= 0 else len(prompt)
    if min(at["instruction"], at["response"], at["rubric"]) < 0:
        raise ValueError("not a Prometheus judge prompt")
    order = sorted((place, part) for part, place in at.items() if place >= 0)
    found: dict[str, Any] = {}
    for (place, part), (following, _) in zip(order, [*order[1:], (len(prompt), "")], strict=True):
        if part != "end":
            found[part] = prompt[place + len(heads[part]) : following].strip()
    rubric = found["rubric"]
    question = re.match(r"\s*\[(.*?)\]\s*(?=Score 1:|$)", rubric, re.DOTALL)
    scores = re.findall(r"Score (\d):(.*?)(?=\nScore \d:|$)", rubric, re.DOTALL)
    found["rubric"] = {
        "criteria": (question[1] if question else rubric).strip(),
        **{f"score{n}": text.strip() for n, text in scores},
    }
    return found
