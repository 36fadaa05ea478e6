"""Make one form of a model out of its GGUF file: run as a script, in the environment that the form needs.

    python forms.py FORM GGUF OUT

Forms: ``transformers`` (float32 weights and tokenizer) and ``openvino``. The other forms are made by their
libraries' own commands (``prepare.py``).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def transformers_form(gguf: Path, out: Path) -> None:
    import torch
    import transformers

    where: dict[str, Any] = {"gguf_file": gguf.name}
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, dtype=torch.float32, **where
    )
    # The weights are plain by now; what still says "quantised by GGUF" would forbid saving them.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(out)
    transformers.AutoTokenizer.from_pretrained(gguf.parent, **where).save_pretrained(out)


def openvino_form(gguf: Path, out: Path) -> None:
    import openvino_genai  # type: ignore[import-not-found]

    # The IR is saved beside the file that was read: a link to it in a folder of our own.
    link = out / gguf.name
    link.symlink_to(gguf)
    openvino_genai.LLMPipeline(str(link), "CPU", enable_save_ov_model=True)
    link.unlink()
    if not (out / "openvino_model.xml").exists():
        raise RuntimeError(f"GenAI saved no IR of {gguf} ({[p.name for p in out.iterdir()]})")


FORMS = {"transformers": transformers_form, "openvino": openvino_form}


def main() -> None:
    form, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    FORMS[form](source, out)


if __name__ == "__main__":
    main()
