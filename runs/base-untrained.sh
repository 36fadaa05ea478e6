#!/usr/bin/env bash
# base-untrained: Qwen2.5-Coder-1.5B-Instruct as published, with a preset (src/mene/library/judges/base-untrained.yaml) and two calibrations. No training.
# Run it in a checkout: the calibration is a script in benchmarks/.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

mene pull base

# Learned on training sets, without a row of a benchmark. What is surely better on held-out rows goes from
# calibrate-base-untrained/calibrations.yaml into the preset: of eight questions correctness and toxicity (docs/judges.md).
step "$PYTHON" "$HERE/benchmarks/calibrate.py" --judge base-untrained --work calibrate-base-untrained

# The figures of docs/judges.md, and those that chose verdict mode: the same rows with and without writing first.
mene bench --suite aggrefact_parts,financebench,craft_md,eval_bias_bench,hhh_alignment,rewardbench --judge base-untrained,nano --mode verdict --limit 30
mene bench --suite mt_bench --judge base-untrained,nano --mode verdict --limit 20
mene bench --suite eval_bias_bench,financebench,aggrefact_parts --judge base-untrained --mode critique --limit 20
mene bench --suite eval_bias_bench,financebench,aggrefact_parts --judge base-untrained --mode verdict --limit 20
