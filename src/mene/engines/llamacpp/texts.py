"""The text that llama.cpp reads for a request, and its tokens."""

from __future__ import annotations

from collections.abc import Callable

from mene.engines.base import LabelKey, Request
from mene.engines.labels import LabelPaths, label_paths
from mene.engines.llamacpp.cache import accepted
from mene.engines.llamacpp.process import Process
from mene.errors import EngineError
from mene.library.sandbox import reason_of
from mene.weights.chat import CHATML, ChatTemplate
from mene.weights.gguf_header import GGUFHeader


class Texts:
    """Renders prompts with resource limits, and has llama.cpp tokenise them.

    Inside llama.cpp, an endless chat template would take the process and all its rows down.

    Args:
        header: of the GGUF file.
        process: returns the process, or raises a ``ModelError``.
    """

    def __init__(self, header: GGUFHeader, process: Callable[[], Process]) -> None:
        self._chat = ChatTemplate(header.template or CHATML, header.texts)
        self._bos = header.texts.get("bos_token", "")
        self._begin: str | None = None
        self._paths: dict[LabelKey, LabelPaths] = {}
        self._process = process

    def prompt(self, request: Request) -> str:
        """See ``Engine.prompt``.

        Raises:
            EngineError: the chat template refuses the messages.
        """
        self._process()
        try:
            text = self._chat([m._asdict() for m in request.messages])
        except Exception as error:  # a template may raise anything
            raise EngineError(
                f"the model's chat template refuses the messages: {reason_of(error)}"
            ) from None
        text = text.removeprefix(self._begin_of_text())
        return text + request.opening if request.critique_tokens else text

    def _begin_of_text(self) -> str:
        """Return the text that llama.cpp itself puts before every prompt; may be empty."""
        if self._begin is None:
            tokens = self.tokens(self._bos) if self._bos else []
            self._begin = self._bos if len(tokens) > 1 and tokens[0] == tokens[1] else ""
        return self._begin

    def count(self, request: Request) -> int:
        """Return the number of tokens of ``prompt(request)``, including begin-of-text."""
        return len(self.tokens(self.prompt(request)))

    def tokens(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt, including begin-of-text, with control tokens recognised."""
        return self._tokenize(prompt, special=True)

    def label_paths(self, request: Request) -> LabelPaths:
        """Return the tokens of the labels.

        Raises:
            EngineError: two labels have the same tokens.
        """
        key = request.label_key
        if key not in self._paths:
            try:
                self._paths[key] = label_paths(self._tokenize, *key)
            except ValueError as error:
                raise EngineError(f"{error}; choose other labels") from None
        return self._paths[key]

    def _tokenize(self, text: str, special: bool = False) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": special}
        return accepted("/tokenize", self._process().post("/tokenize", body))["tokens"]
