#!/usr/bin/env bash
# small: Qwen2.5-Coder-0.5B-Instruct as published, a preset alone (src/mene/library/judges/small.yaml), near chance. It ships without a training and
# without a calibration. These are the commands that would make both; we have not run them to their end.
# Needs: pip install "mene[train]".
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

mene pull small
mene curate small
mene train small
mene export small-run --name small

step "$PYTHON" "$HERE/benchmarks/calibrate.py" --judge small-run/export/judge.yaml --work calibrate-small
mene bench --suite aggrefact_parts,financebench,craft_md,eval_bias_bench --judge small,small-run/export/judge.yaml --mode verdict --limit 30
