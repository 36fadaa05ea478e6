#!/bin/bash
# mene judge on Slurm: sbatch slurm.sh ROWS OUT [more options of mene judge]
# One Ray node on each machine; the driver runs on the first. ROWS and OUT are on a file system that all machines share, or in an
# object store. If the job is ended or requeued, submit it again: it goes on where it was.
#SBATCH --job-name=mene-judge
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=0
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail
rows=$1 out=$2; shift 2

export RAY_USAGE_STATS_ENABLED=0
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000)) # two jobs on one machine do not meet
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | cut -d' ' -f1):$port

srun --nodes=1 --ntasks=1 -w "$head" --overlap \
  ray start --head --node-ip-address="${address%:*}" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
  --include-dashboard=false --disable-usage-stats --block &
sleep 10
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" --overlap \
    ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block &
  sleep 10
fi

# Ended two minutes before the time is up, it keeps what is done.
trap 'kill -TERM "$driver" 2> /dev/null' TERM
RAY_ADDRESS=$address mene judge "$rows" --on ray -o "$out" "$@" &
driver=$!
code=0
wait "$driver" || code=$?
if kill -0 "$driver" 2> /dev/null; then wait "$driver" || code=$?; fi
kill $(jobs -p) 2> /dev/null || true
exit "$code"
