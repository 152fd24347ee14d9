#!/usr/bin/env bash
# The whole road, one command a step: lungs by the shipped network; then DICOM CT + RTSTRUCT to a trained and evaluated
# lung segmentation of your own, with its report.
#
#   docs/tutorials/whole_road.sh OUT [DICOM_FOLDER]     (`make demo` runs this; without a folder it makes phantoms)
#
# Wants `lungseg-prep`, `lungseg` and `python` of one environment on the PATH. Run again, it goes on from the converted
# data and trains anew.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${1:?usage: whole_road.sh OUT [DICOM_FOLDER]}"
out=$(cd "$1" && pwd)
dicom=${2:-}
epochs=${EPOCHS:-}
started=$SECONDS
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} # beside other work, several times faster (benchmarks/wait_policy.py)

step() { # say what is run, then run it
  printf '\n\033[1m$ %s\033[0m\n' "$(printf '%q ' "$@")"
  "$@"
}

if [ -z "$dicom" ]; then
  dicom=$out/dicom
  [ -d "$dicom" ] || step lungseg-prep phantom "$dicom" --patients 6 --seed 0 --quiet
else
  dicom=$(cd "$dicom" && pwd)
fi

# Lungs by the network that comes with the toolkit, and a page to look at them.
# Exit code 1: done, but something was refused (it stands in the table); the rest is there to go on with.
step lungseg segment "$dicom" --out "$out/lungs" --report || [ $? -eq 1 ]

# A network of your own, from what was drawn on these patients.
step lungseg-prep dicom2nifti "$dicom" "$out/prepared" || [ $? -eq 1 ]

step lungseg evaluate "$out/lungs" "$out/prepared" --label lung_right --label lung_left || [ $? -eq 1 ]

patients=$(python -c 'import json, sys; print(len({c["patient_id"] for c in json.load(open(sys.argv[1]))["cases"]}))' "$out/prepared/dataset.json")
if [ "$patients" -eq 1 ]; then
  step lungseg-prep split "$out/prepared/dataset.json" --within-patient
  epochs=${epochs:-24} # few slices: more rounds
else
  step lungseg-prep split "$out/prepared/dataset.json"
  epochs=${epochs:-8}
fi

# Half the default width on slices of 128 x 128: minutes on two cores. Leave both out for the bundle's own numbers.
rm -rf "$out/run"
cd "$here/bundles/ct_lung_unet2d"
step python -m monai.bundle run training --config_file configs/train.yaml --meta_file configs/metadata.json \
  --dataset_dir "$out/prepared" --output_dir "$out/run" --spatial_size "[128, 128]" --width 16 --epochs "$epochs"
step python -m monai.bundle run --config_file configs/inference.yaml --meta_file configs/metadata.json \
  --dataset_dir "$out/prepared" --output_dir "$out/run" --sections "['training', 'test']"
step lungseg evaluate "$out/run/predictions" "$out/prepared" || [ $? -eq 1 ]
step lungseg report "$out/run"

python - "$out/run" $((SECONDS - started)) <<'PYTHON'
import json, pathlib, sys

run, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
scores = json.loads((run / "scores.json").read_text())
for row in scores["summary"]:
    if (row["section"], row["level"], row["slices"], row["metric"]) == ("test", "case", "all", "dice"):
        print(f"\nTest volume DSC of {row['label']}: {row['mean']:.4f} (mean of {row['n']})")
if scores["warning"]:
    print(scores["warning"])
print(f"Reports: {run.parent / 'lungs' / 'report.html'} and {run / 'report.html'}\nDone in {seconds} s. For research, not a medical device.")
PYTHON
