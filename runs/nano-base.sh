#!/usr/bin/env bash
# nano-base: SmolLM2-135M-Instruct as published, which nothing was done to. Its figures, in docs/research/nano.md: 162 min on two cores.
# They were made in PyTorch: before.yaml is nano-torch without its adapter.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mene pull nano-base
if [ -z "${DRY_RUN:-}" ]; then
    "$PYTHON" - <<'END'
from pathlib import Path

import mene

text = (Path(mene.__file__).parent / "library" / "judges" / "nano-torch.yaml").read_text("utf-8")
kept = [line for line in text.splitlines() if not line.startswith(("adapter:", "writes:", "compare:"))]
Path("before.yaml").write_text("\n".join(kept) + "\n", "utf-8")
END
fi
mene bench --suite selene11 --judge before.yaml --mode verdict
mene bench --suite domain --judge before.yaml --mode verdict
