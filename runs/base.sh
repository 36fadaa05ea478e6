#!/usr/bin/env bash
# base, the default judge: Qwen2.5-Coder-1.5B-Instruct with an adapter on all its layers. One pass over 20 million tokens, on one GPU of 80 GB
# or more: 10 minutes on an H200. Then one over points that were written for it, one over reasons, and one over reasons after a label: one to two hours each on two
# cores (docs/research/training.md).
# Needs: pip install "mene[train]". base-why-run/export/adapter.gguf is what ships in src/mene/library/judges/base/. That one differs in this:
# on the GPU it read the first packs a second time (3,000 packs in all, of 2,614), and was taken 200 steps before the end of its schedule;
# base-more was run twice, over 1,195 of the written points, and then over the other 1,312; base-reasons twice, over some half of its data
# (227 and 231 steps), and the mean is of the adapters before the first and after the second; base-why read 3,200 of its pairs.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

mene curate base-gpu
mene train base-gpu
mene curate base-more
mene train base-more adapter.start=base-gpu-run/adapter
mene curate base-reasons
mene train base-reasons adapter.start=base-more-run/adapter
mene export base-reasons-run --form adapter --share 0.5
mene curate base-why
mene train base-why adapter.start=base-reasons-run/export/adapter train.pairs=3200
mene export base-why-run --form adapter.gguf --name base

# Learned on the development rows of the training sets; what is surely better goes into the preset (docs/judges.md).
step "$PYTHON" "$HERE/benchmarks/calibrate.py" --judge base --recipe base-gpu --work calibrate-base --only faithfulness,correctness,toxicity,a/b

# The figures of docs/judges.md and docs/criteria.md.
mene bench --suite eval_bias_bench,hhh_alignment,lfqa --judge base --mode verdict
mene bench --suite rewardbench,aggrefact_parts --judge base --mode verdict --limit 100
mene bench --suite financebench,craft_md --judge base --mode verdict --limit 60
mene bench --suite mt_bench,auto_j --judge base --mode verdict --limit 40
step "$PYTHON" "$HERE/benchmarks/cases/__main__.py" --judge base --work cases-base
