"""InFoBench, the experts' CSV: a row per requirement on which all three answers agree.

Two experts write yes or no on a line per requirement, the third 1 or 0 divided by full stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    models = ("gpt-3.5-turbo", "gpt-4", "claude-v1", "alpaca-7b", "vicuna-13b")
    number = 0
    for record in records:
        questions = [
            re.sub(r"^\d+\.", "", q).strip()
            for q in (record["decomposed_questions"] or "").split("\n")
        ]
        instruction = "\n".join(t for t in (record["instruction"], record["input"]) if t)
        for model in models:
            lines = [record[f"{model}-annotation-annotator{i}"] or "" for i in (1, 2)]
            votes = [["yes" in v.lower() for v in text.split("\n")] for text in lines if text]
            third = str(record[f"{model}-annotation"] or "")
            votes += [[v == "1" for v in third.split(".")]] if third else []
            if len(votes) != 3 or not record[model]:
                continue
            for question, *answers in zip(questions, *votes, strict=False):
                if len(set(answers)) == 1:
                    yield {
                        "id": f"infobench-{number:04d}",
                        "source": "expert",
                        "kind": "classification",
                        "instruction": instruction,
                        "response": record[model],
                        "rubric": question,
                        "label": "Yes" if answers[0] else "No",
                        "label_source": "human",
                        "response_model": model,
                        "group": f"{instruction} {model}",
                    }
                    number += 1
