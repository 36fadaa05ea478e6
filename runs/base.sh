#!/usr/bin/env bash
# base, the default judge: Qwen2.5-Coder-1.5B-Instruct with an adapter on all its layers. One pass over 20 million tokens, on one GPU of 80 GB
# or more: 10 minutes on an H200 (docs/research/training.md).
# Needs: pip install "mene[train]". base-gpu-run/export/adapter.gguf is what ships in src/mene/library/judges/base/; that one read the
# first packs a second time (3,000 packs in all, of 2,614), and was taken 200 steps before the end of its schedule.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

mene curate base-gpu
mene train base-gpu
mene export base-gpu-run --form adapter.gguf --name base

# Learned on the development rows of the training sets; what is surely better goes into the preset (docs/judges.md).
step "$PYTHON" "$HERE/benchmarks/calibrate.py" --judge base --recipe base-gpu --work calibrate-base --only faithfulness,correctness,toxicity,a/b

# The figures of docs/judges.md.
mene bench --suite eval_bias_bench,hhh_alignment,lfqa --judge base --mode verdict
mene bench --suite rewardbench,aggrefact_parts --judge base --mode verdict --limit 100
mene bench --suite financebench,craft_md --judge base --mode verdict --limit 60
mene bench --suite mt_bench,auto_j --judge base --mode verdict --limit 40
