"""Whether a critique gives away whose it is: a vote on it would not be blind."""

from __future__ import annotations

import re

# Parts of a judge's name that are plain words of critiques.
_PLAIN = frozenset(
    ("base", "small", "large", "mini", "model", "judge", "openai", "systemone", "llamacpp", "openvino", "transformers", "http",
     "https", "localhost", "chat", "instruct", "preview", "latest", "turbo", "test")
)  # fmt: skip
_SELF = re.compile(
    r"\b(?:as|i am|i'm) (?:an? )?(?:ai )?(?:language model )?(?:called |named |trained by |developed by |made by |from )?"
    r"(?:chatgpt|gpt-?\d\w*|claude|anthropic|openai|gemini|llama|mistral|qwen|deepseek|selene|prometheus|atla)\b"
)


def names_itself(critique: str | None, judge: str) -> bool:
    """Whether a critique gives its judge away: it names it, or the maker of a well-known model as itself.

    As LMArena leaves out battles whose answers name their model (``lmarena/FastChat``, ``clean_battle_data.py``).
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
