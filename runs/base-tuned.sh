#!/usr/bin/env bash
# base-tuned: an adapter for base, trained on labels. 1,100 pairs, 126 steps: two hours on two cores with AVX2.
# Needs: pip install "mene[train]". base-run/export/adapter.gguf is what ships in src/mene/library/judges/base-tuned/.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# 2,719 pairs, of which the first 1,100 are used. What the untrained lower layers give is computed once, and kept.
mene curate base
mene train base train.pairs=1100
mene export base-run --form adapter.gguf --name base-tuned

# The figures of docs/judges.md.
mene bench --suite hhh_alignment,eval_bias_bench,rewardbench,aggrefact_parts,financebench --judge base,base-tuned --mode verdict --limit 30
