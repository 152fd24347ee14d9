#!/usr/bin/env bash
# Train the network of the bundle ct_lungs as its shipped weights were, without any data, and export it.
#
#   docs/tutorials/train_ct_lungs.sh RUN [KEY VALUE ...]     e.g. --threads 3 --num_workers 2 --minutes 60
#
# Three stages, RUN/first, RUN/second and RUN/third, about two hours on four CPU cores together. Interrupted, or with
# --minutes: the same command again goes on at the last finished epoch.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${1:?usage: train_ct_lungs.sh RUN [KEY VALUE ...]}"
out=$(cd "$1" && pwd)
shift
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

finished() { # whether a run has come to its end
  python -c 'import json, sys; sys.exit(json.load(open(sys.argv[1])).get("status") != "done")' "$1/run.json" 2>/dev/null
}

stage() { # name, then the settings of this stage
  local run=$out/$1 resume=()
  shift
  finished "$run" && return
  [ -f "$run/checkpoints/last.pt" ] && resume=(--resume true)
  python -m monai.bundle run training --config_file configs/train.yaml --meta_file configs/metadata.json \
    --output_dir "$run" --validation_scenes 16 "$@" "${resume[@]}"
  finished "$run" || { echo "Not finished yet: run the same command again."; exit 0; }
}

cd "$here/bundles/ct_lungs"
stage first "$@"
stage second --pretrained "$out/first/checkpoints/best.pt" --epochs 4 --coarse_share 0.0 --easiest 1.0 \
  --learning_rate 0.0006 --frozen_share 1.0 --seed 1 "--validate#seed" 1000003 "$@"
# More of what is hard: chests sicker than the usual mix.
stage third --pretrained "$out/second/checkpoints/best.pt" --epochs 15 --coarse_share 0.0 --easiest 1.0 \
  --learning_rate 0.001 --frozen_share 1.0 --seed 2 "--validate#seed" 1000003 --scene_options "{'sickness': 1.7}" "$@"
python -m lungseg_monai.training.export_lungs "$out/third" --bundle . --last
