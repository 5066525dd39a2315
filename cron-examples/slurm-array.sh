#!/bin/sh
# A Slurm job array: four jobs, each of which keeps its share of the models.
#
# When to use: one node's network or time is not enough for all models.
# Run: `sbatch slurm-array.sh`, or in a scrontab. Change the number in two places (--array, --shard).
#
# Slurm gives each job its number (SLURM_ARRAY_TASK_ID), and `--shard auto/4` takes its share of the
# models. Each job has its own state directory, filled from one file (`hfdl export` writes it), and all
# share one cache. The limit of hfdl comes before that of Slurm, so that it saves its state and ends by itself.
#SBATCH --array=0-3
#SBATCH --partition=transfer
#SBATCH --job-name=hfdl
#SBATCH --time=04:00:00
set -eu

export HFDL_HOME="${HFDL_STATE:-$HOME/.local/share/hfdl-array}/$SLURM_ARRAY_TASK_ID"
hfdl apply -f "${HFDL_CONFIG:-$HOME/hfdl.yaml}"
code=0
hfdl run-due --trigger timer --shard auto/4 --max-duration 3h45m || code=$?
case $code in
# Out of a budget, or the last array is still at work: the next start resumes.
8 | 10 | 11) exit 0 ;;
*) exit "$code" ;;
esac
