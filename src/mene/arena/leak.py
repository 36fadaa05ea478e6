"""Whether a critique reveals its judge, so that a vote on it would not be blind."""

from __future__ import annotations

import re

# Parts of judges' names that are common words in critiques.
_PLAIN = frozenset(
    ("base", "small", "large", "mini", "model", "judge", "openai", "systemone", "llamacpp", "openvino", "transformers", "http",
     "https", "localhost", "chat", "instruct", "preview", "latest", "turbo", "test")
)  # fmt: skip
_SELF = re.compile(
    r"\b(?:as|i am|i'm) (?:an? )?(?:ai )?(?:language model )?(?:called |named |trained by |developed by |made by |from )?"
    r"(?:chatgpt|gpt-?\d\w*|claude|anthropic|openai|gemini|llama|mistral|qwen|deepseek|selene|prometheus|atla)\b"
)


def names_itself(critique: str | None, judge: str) -> bool:
    """Return whether a critique reveals its judge, by its name or by the maker of a well-known model.

    LMArena excludes battles whose answers name their model in the same way (``lmarena/FastChat``, ``clean_battle_data.py``).
    """
    text = (critique or "").lower()
    parts = [
        part
        for part in re.split(r"[:/@\s]+", judge.lower())
        if len(part) > 3 and part not in _PLAIN and not part[0].isdigit()
    ]
    if any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in parts):
        return True
    return bool(_SELF.search(text))
