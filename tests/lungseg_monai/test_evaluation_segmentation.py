"""Segmentations and files of several labels against a reference: each label is the one that its value says."""

import json

import nibabel as nib
import numpy as np
import pytest
from predicted import save
from prepared import make_prepared

from data_prep.geometry import LPS_TO_RAS, Grid
from lungseg_monai.cli import main
from lungseg_monai.errors import EvaluationError
from lungseg_monai.evaluation import scores
from lungseg_monai.evaluation.masks import MaskFile, read_mask
from lungseg_monai.segment.nrrd import write_seg_nrrd

SIDES = {"lung_right": "Lung-Right", "lung_left": "Lung-Left"}


@pytest.fixture
def prepared(tmp_path):
    return make_prepared(tmp_path / "prepared", patients=2, shape=(24, 20, 8))


@pytest.fixture(autouse=True)
def no_surfaces(monkeypatch):
    """They are MONAI's, tested elsewhere, and seconds to import."""
    monkeypatch.setattr(scores, "surface_scores", lambda *masks: dict.fromkeys(scores.SURFACE_METRICS))


def labelled(prepared, case):
    """1 the right lung, a column too far, 2 the left one; their affine."""
    masks = {side: nib.load(prepared / case / "masks" / f"{file}.nii.gz") for side, file in SIDES.items()}
    right, left = (np.asarray(mask.dataobj) > 0 for mask in masks.values())
    return np.where(np.roll(right, 1, axis=0), 1, np.where(left, 2, 0)), masks["lung_right"].affine


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def wanted(prepared, case):
    labels, _ = labelled(prepared, case)
    reference = [np.asarray(nib.load(prepared / case / "masks" / f"{file}.nii.gz").dataobj) > 0
                 for file in SIDES.values()]  # fmt: skip
    found = {name: dice(labels == n, mask) for n, (name, mask) in enumerate(zip(SIDES, reference, strict=True), 1)}
    return found | {"lungs": dice(labels > 0, reference[0] | reference[1])}


def write_case(out, case, labels, affine, names=("lung_right", "lung_left")):
    save(out / case / "lungs.nii.gz", labels, affine)
    said = {"case": case, "labels": {str(n): name for n, name in enumerate(names, 1)}, "fingerprint": "f"}
    (out / case / "case.json").write_text(json.dumps(said | {"outputs": {"nifti": "lungs.nii.gz"}}))
    return {"status": "done", "folder": case, "error": None}


def write_journal(out, cases):
    (out / "segment.json").write_text(json.dumps({"schema": "1.0", "cases": cases}))
    return out


@pytest.fixture
def segmented(tmp_path, prepared):
    out = tmp_path / "segmented"
    return write_journal(out, {case: write_case(out, case, *labelled(prepared, case)) for case in ("P1", "P2")})


def run(*arguments):
    """Exit code and dice by case and label."""
    out = arguments[0] if arguments[0].is_dir() else arguments[0].parent
    code = main(["evaluate", *map(str, arguments), "--quiet"])
    rows = json.loads((out / "scores.json").read_text()) if code in (0, 1) else {"cases": [], "refused": []}
    found = {(row["case_id"], row["label"]): pytest.approx(row["dice"]) for row in rows["cases"]}
    return code, found, {one["case_id"]: one["reason"] for one in rows["refused"]}


def both(prepared, labels=("lung_right", "lung_left"), cases=("P1", "P2")):
    return {(case, label): wanted(prepared, case)[label] for case in cases for label in labels}


def test_each_lung_of_a_segmentation_is_scored_by_its_own_reference(prepared, segmented):
    code, found, refused = run(segmented, prepared)
    assert (code, refused) == (0, {}) and found == both(prepared)
    assert 0 < found["P1", "lung_right"].expected < 1 == found["P1", "lung_left"].expected
    assert run(segmented, prepared, "--label", "lungs=lung_left+lung_right")[1] == both(prepared, ["lungs"])
    assert run(segmented / "P2", prepared)[:2] == (0, both(prepared, cases=["P2"]))
    assert run(segmented / "P1" / "lungs.nii.gz", prepared)[:2] == (0, both(prepared, cases=["P1"]))
    assert all(one.expected == 1 for one in run(segmented, segmented)[1].values())


def test_where_only_their_union_is_known_that_is_scored(tmp_path, prepared, segmented):
    for case in ("P1", "P2"):
        labels, affine = labelled(prepared, case)
        lungs = (np.roll(labels, -1, axis=0) == 1) | (labels == 2)
        save(tmp_path / "masks" / f"{case}.nii.gz", lungs, affine)
        save(tmp_path / "named" / case / "lungs.nii.gz", lungs, affine)
    for folder in ("masks", "named"):
        code, found, _ = run(segmented, tmp_path / folder)
        assert code == 0 and found == both(prepared, ["lungs"])
    union = tmp_path / "union"
    one = labelled(prepared, "P1")
    write_journal(union, {"P1": write_case(union, "P1", one[0] > 0, one[1], ["lungs"])})
    code, found, refused = run(union, prepared)
    assert code == 1 and found == both(prepared, ["lungs"], ["P1"]) and "no mask of P2" in refused["P2"]


def test_what_was_not_segmented_is_named_with_the_reason(prepared, segmented):
    journal = json.loads((segmented / "segment.json").read_text())["cases"]
    journal["P2"] = {"status": "refused", "folder": None, "error": "an MR series"}
    write_journal(segmented, journal)
    code, found, refused = run(segmented, prepared)
    assert code == 1 and found == both(prepared, cases=["P1"])
    assert refused == {"P2": "no prediction: refused by lungseg segment: an MR series"}
    (segmented / "P1" / "case.json").write_text("{}")
    assert run(segmented, prepared)[0] == 3
    (segmented / "segment.json").write_text("[]")
    assert run(segmented, prepared)[0] == 3


@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd"])
def test_files_of_several_labels_on_either_side(tmp_path, prepared, ending):
    labels, affine = labelled(prepared, "P1")
    swapped = np.where(labels > 0, 3 - labels, 0).astype(np.uint8)  # 1 is the left lung here
    theirs = tmp_path / "theirs" / f"P1{ending}"
    theirs.parent.mkdir()
    if ending == ".nii.gz":
        save(theirs, swapped, affine)
        named = [["--values", "1=lung_left,2=lung_right"], ["--reference-values", "1=lung_left, 2=lung_right"]]
        assert run(theirs, prepared)[0] == 2  # nothing says what it is
    else:  # its header says which value is which
        grid = Grid(labels.shape, LPS_TO_RAS @ affine)
        write_seg_nrrd(theirs, swapped, grid, {1: "lung_left", 2: "lung_right"})
        named = [[], []]
    assert run(theirs, prepared, *named[0])[:2] == (0, both(prepared, cases=["P1"]))
    code, found, _ = run(theirs.parent, prepared, *named[0])  # P2 is missing
    assert code == 1 and found == both(prepared, cases=["P1"])
    ours = tmp_path / "ours"
    write_journal(ours, {"P1": write_case(ours, "P1", labels, affine)})
    for reference in (theirs, theirs.parent):
        code, found, _ = run(ours, reference, *named[1])
        assert code == 0 and found == {("P1", "lung_right"): 1.0, ("P1", "lung_left"): 1.0}


def test_values_that_make_no_sense_are_named(tmp_path, prepared):
    labels, affine = labelled(prepared, "P1")
    path = save(tmp_path / "P1.nii.gz", labels, affine)
    for wrong in ("lung=1", "0=lung_left", "1=a,1=b", "1=", ""):
        assert run(path, prepared, "--values", wrong)[0] == 2
    assert run(path, prepared, "--values", "7=lung_right,8=lung_left")[0] == 3
    with pytest.raises(EvaluationError, match="holds the values 0, 1, 2, and what was named is 7, 8"):
        read_mask(MaskFile(path, (7,), (7, 8)))
    assert not read_mask(MaskFile(path, (7,), (1, 7))).voxels.any()  # there may be one lung only
    with pytest.raises(EvaluationError, match="--reference-values"):
        read_mask(path)
