# shellcheck shell=bash
# Sourced by the other files here: where the data is, and what to do with a command.
#
#   MENE_DATA=DATA runs/nano.sh     folder with train/ (raw sets) and bench/ (benchmarks, kept out of training)
#   DRY_RUN=1 runs/nano.sh          print the commands and do nothing
#
# Every command goes on where it was stopped: run the file again.
set -euo pipefail
PYTHON=${PYTHON:-python3}

step() {
    echo "+ $*"
    if [ -z "${DRY_RUN:-}" ]; then "$@"; fi
}

mene() { step "$PYTHON" -m mene "$@"; }

if [ -z "${MENE_DATA:-}" ] && [ -z "${DRY_RUN:-}" ]; then
    echo "say where the data is: MENE_DATA=DATA $0 (or DRY_RUN=1 to see the commands)" >&2
    exit 2
fi
export MENE_DATA=${MENE_DATA:-DATA}
