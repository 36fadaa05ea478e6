#!/usr/bin/env bash
# small: Qwen2.5-Coder-0.5B-Instruct with an adapter on all its layers, trained on the data of base: one pass over 20 million tokens on one
# GPU of 80 GB or more, 7 minutes on an H200.
# Needs: pip install "mene[train]". small-gpu-run/export/adapter.gguf is what ships in src/mene/library/judges/small/.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

mene curate small-gpu
mene train small-gpu
mene export small-gpu-run --form adapter.gguf --name small

step "$PYTHON" "$HERE/benchmarks/calibrate.py" --judge small --recipe small-gpu --work calibrate-small --only faithfulness,correctness,toxicity,a/b
mene bench --suite eval_bias_bench,rewardbench,financebench,craft_md,aggrefact_parts --judge small --mode verdict --limit 100
mene bench --suite hhh_alignment,mt_bench,auto_j,lfqa --judge small --mode verdict --limit 60
