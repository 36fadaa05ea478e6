"""Reading a Transformers folder's tokeniser and chat template without that package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mene.engines.openvino.source import Feed
from mene.errors import ModelError
from mene.weights.chat import ENDS_OF_TURN

TOKENS, SETTINGS = "tokenizer.json", "tokenizer_config.json"
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
# Tokenisers without a limit state 10^30.
_NO_LIMIT = 10**9


class FolderTexts(NamedTuple):
    """What a folder says about texts.

    Attributes:
        context: number of tokens that the model was trained to read.
        named: special tokens under their Transformers names: ``bos_token``, ``eos_token``, …
        ends: ids of tokens that end a turn, as far as they are given as numbers.
    """

    context: int
    control_tokens: frozenset[str]
    named: dict[str, str]
    template: str
    ends: frozenset[int]


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file.

    Raises:
        ModelError: the file holds something else, or cannot be read.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error}); download it again") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: expected a mapping; download it again")
    return found


def read_texts(folder: Path, config: dict[str, Any]) -> FolderTexts:
    """Read the text settings beside a model's weights.

    Args:
        config: the folder's ``config.json``.

    Raises:
        ModelError: a file is missing or damaged.
    """
    if not (folder / TOKENS).is_file():
        raise ModelError(
            f"{folder}: no {TOKENS} in it; save it there (transformers.AutoTokenizer, save_pretrained), or use the engine "
            "transformers"
        )
    tokens, settings = read_json(folder / TOKENS), _beside(folder, SETTINGS)
    generation, names = (
        _beside(folder, "generation_config.json"),
        _beside(folder, "special_tokens_map.json"),
    )
    named = {}
    for name in _NAMED:
        text = _text(settings[name] if name in settings else names.get(name))
        if text:
            named[name] = text
    decoder = settings.get("added_tokens_decoder")
    added = [
        *_each(tokens.get("added_tokens")),
        *(_each(list(decoder.values())) if isinstance(decoder, dict) else ()),
    ]
    special = {_text(token) for token in added if token.get("special")}
    more = (settings.get(k) for k in ("additional_special_tokens", "extra_special_tokens"))
    special |= {_text(token) for some in more if isinstance(some, list) for token in some}
    ends: set[int] = set()
    for value in (config.get("eos_token_id"), generation.get("eos_token_id")):
        ends |= {n for n in (value if isinstance(value, list) else [value]) if type(n) is int}
    limits = [config.get("max_position_embeddings"), settings.get("model_max_length")]
    known = [n for n in limits if type(n) is int and 1 < n < _NO_LIMIT]
    if not known:
        raise ModelError(f"{folder}/config.json: max_position_embeddings is {limits[0]!r:.40}")
    return FolderTexts(
        context=min(known),
        control_tokens=frozenset((special | set(named.values())) - {""}),
        named=named,
        template=_template(folder, settings),
        ends=frozenset(ends),
    )


def feed_of(folder: Path, texts: FolderTexts, rows: int) -> Feed:
    """Return the tokeniser, and all else that is needed to feed the model.

    Args:
        rows: number of the model's embeddings.

    Raises:
        ModelError: the tokeniser cannot be read, or has more tokens than the model.
    """
    from tokenizers import AddedToken, Tokenizer

    path = folder / TOKENS
    try:
        made: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise ModelError(f"{path}: cannot be read ({error}); download it again") from None
    made.no_truncation()
    made.no_padding()
    # Special tokens named only in the settings must also be recognised in text.
    whole = {token.content for token in made.get_added_tokens_decoder().values()}
    there = sorted(t for t in texts.control_tokens if made.token_to_id(t) is not None)
    made.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in there if t not in whole]
    )
    most = max(made.get_vocab(with_added_tokens=True).values(), default=-1)
    if not 0 <= most < rows:
        raise ModelError(
            f"{path}: a token has the number {most}, but the model has only {rows} embeddings; download it again"
        )
    begin = made.token_to_id(texts.named.get("bos_token", ""))
    ends = [made.token_to_id(t) for t in ENDS_OF_TURN & texts.control_tokens]
    ends.append(made.token_to_id(texts.named.get("eos_token", "")))
    return Feed(
        tokenizer=made,
        template=texts.template,
        texts=texts.named,
        context=texts.context,
        control_tokens=texts.control_tokens,
        stops=texts.ends | {end for end in ends if end is not None},
        # Like Transformers, ignore add_bos_token in the settings where there is a tokenizer.json.
        begin=begin if made.encode("a").ids[:1] == [begin] else None,
    )


def _beside(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / name) if (folder / name).is_file() else {}


def _each(tokens: Any) -> list[dict[str, Any]]:
    return [t for t in tokens if isinstance(t, dict)] if isinstance(tokens, list) else []


def _text(token: Any) -> str:
    """Return a token's text; settings store it plain, or in a mapping with other properties."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _template(folder: Path, settings: dict[str, Any]) -> str:
    """Return the chat template, from its own file or the settings; of several, the one named ``default``."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise ModelError(f"{file}: cannot read the chat template ({error})") from None
    found = settings.get("chat_template") or ""
    if isinstance(found, list):
        by_name = {one.get("name"): one.get("template") for one in _each(found)}
        found = by_name.get("default")
    if not isinstance(found, str):
        raise ModelError(f"{folder / SETTINGS}: chat_template has no text called default")
    return found
