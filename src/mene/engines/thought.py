"""A chat template may open the model's thought itself (``<think>``). Behind it, a label would be read as part of the thought."""

from __future__ import annotations

import re

# How thoughts begin, and how they end: <think>, <seed:think>, [THINK], ◁think▷, and what does not follow that form.
_TAG = re.compile(
    r"(?P<open>[<\[◁])(?P<name>[\w:.-]*(?:think|thought|reason)[\w:.-]*)(?P<close>[>\]▷])\s*$",
    re.IGNORECASE,
)
_OTHERS = {
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}


def closed(prompt: str) -> str:
    """The prompt, with a thought that it leaves open at its very end closed, as if the model had had none."""
    begun = prompt.rstrip()
    for opening, ending in _OTHERS.items():
        if begun.endswith(opening):
            return f"{begun}\n\n{ending}\n\n"
    if found := _TAG.search(prompt):
        return f"{begun}\n\n{found['open']}/{found['name']}{found['close']}\n\n"
    return prompt
