"""What every candidate reads, as token ids of the model's own tokenizer: run as a script where Transformers is.

    python texts.py MODEL DATA QUESTIONS OUT

MODEL is the Transformers form. DATA (JSON Lines, also gzip) gives the running text; QUESTIONS the twelve
prompts whose two labels are compared. OUT also gets ``reference``: the probability of " Yes" against " No"
behind each of them, by a float32 forward pass.
"""

from __future__ import annotations

import gzip
import json
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

LENGTHS = {100: 3, 500: 3, 2000: 3}  # tokens of a prompt: how many of them
PREFIX, TAILS, TAIL, WRITE = 400, 8, 100, 200
QUESTIONS = 12
FIELDS = ("instruction", "context", "response", "response_a", "response_b")


def rows(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def question(row: dict[str, Any]) -> str:
    return (
        "Is every statement of the answer supported by the passage? Answer Yes or No.\n\n"
        f"Passage: {row['context']}\n\nQuestion: {row['instruction']}\n\nAnswer: {row['response']}"
    )


def make(model: Path, data: Path, asked: Path) -> dict[str, Any]:
    import transformers

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model)
    found = rows(data)
    text = "\n".join(str(row[field]) for row in found for field in FIELDS if row.get(field))
    stream = cycle(tokenizer(text, add_special_tokens=False)["input_ids"])

    def next_tokens(count: int) -> list[int]:
        return list(islice(stream, count))

    def rendered(row: dict[str, Any]) -> list[int]:
        turn = [{"role": "user", "content": question(row)}]
        prompt = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return tokenizer(prompt + "Answer:", add_special_tokens=False)["input_ids"]

    labels = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in (" Yes", " No")]
    if any(len(ids) != 1 for ids in labels):
        raise SystemExit(f"{model}: the labels are not one token each: {labels}")
    usable = [row for row in rows(asked) if row.get("context") and row.get("response")]
    return {
        "prompts": {n: [next_tokens(n) for _ in range(times)] for n, times in LENGTHS.items()},
        "first": next_tokens(100),
        "warm": next_tokens(100),
        "prefix": next_tokens(PREFIX),
        "tails": [next_tokens(TAIL) for _ in range(TAILS)],
        "write": next_tokens(WRITE),
        "questions": [rendered(row) for row in usable[:QUESTIONS]],
        "labels": [ids[0] for ids in labels],
    }


def reference(model: Path, texts: dict[str, Any]) -> list[float]:
    import torch
    import transformers

    torch.set_grad_enabled(False)
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32
    ).eval()
    yes, no = texts["labels"]
    found = []
    for prompt in texts["questions"]:
        logits = network(torch.tensor([prompt]), logits_to_keep=1).logits[0, -1]
        found.append(torch.sigmoid(logits[yes] - logits[no]).item())
    return found


def main() -> None:
    model, data, asked, out = map(Path, sys.argv[1:5])
    texts = make(model, data, asked)
    texts["reference"] = reference(model, texts)
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps(texts))
    beside.replace(out)


if __name__ == "__main__":
    main()
