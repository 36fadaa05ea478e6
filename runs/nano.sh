#!/usr/bin/env bash
# nano and nano-torch: the two trainings, the files that ship, and the figures of docs/nano.md. Three hours in all on two cores.
# Needs: pip install "mene[train]". Run it where the runs may lie; nano-more-run/export/ is what ships in src/mene/library/judges/nano/.
# shellcheck source=runs/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# 4,995 pairs, 272 to choose by: 45 s. Then 1,120 steps: 50 min.
mene curate nano
mene train nano

# What nano left out, from where that training ended. 8,880 pairs, 515 to choose by: 51 s. Then 1,308 steps: 111 min.
mene curate nano-more
mene train nano-more adapter.start=nano-run/adapter

# adapter/ (safetensors) is nano-torch's, adapter.gguf is nano's.
mene export nano-more-run --form adapter --form adapter.gguf --name nano

# What it is worth. nano-torch is the same judge in PyTorch, in which the figures of docs/nano.md were made.
mene bench --suite financebench,craft_md,aggrefact_parts,rewardbench --judge nano-torch --mode verdict --limit 200
mene bench --suite eval_bias_bench,hhh_alignment,lfqa --judge nano-torch --mode verdict
mene bench --suite bias:hhh_alignment,felm --judge nano-torch --mode verdict --limit 40
