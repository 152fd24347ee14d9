"""Which cases of a prepared folder train, validate and test; what is left out, and how that is told."""

import json

import nibabel as nib
import numpy as np
import pytest
from prepared import empty_roi, make_prepared, write_datalist

from lungseg_monai.data import select_cases
from lungseg_monai.errors import ConfigError, DatasetError

LUNGS = {"lungs": ["lung_left", "lung_right"]}


@pytest.fixture
def prepared(tmp_path):
    return make_prepared(tmp_path / "prepared", patients=4, split_sections={"training": [0, 1, 2], "test": [3]})


def edit(folder, name, change):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def relabel(folder, case, old, new):
    """In dataset.json and datalist.json, as a conversion with other names would have it."""

    def dataset(content):
        for roi in content["cases"][case]["rois"]:
            roi["label"] = new if roi["label"] == old else roi["label"]

    def datalist(content):
        names = content["training"][case]["label_names"]
        names[:] = [new if name == old else name for name in names]

    edit(folder, "dataset.json", dataset)
    edit(folder, "datalist.json", datalist)


def test_sections_and_files(prepared):
    lists = select_cases(prepared, LUNGS)
    assert lists.case_ids() == {"training": ["P1", "P2", "P3"], "validation": [], "test": ["P4"]}
    item = lists.items("training")[1]
    assert item["lungs"] == [str(prepared / f"P2/masks/Lung-{side}.nii.gz") for side in ("Left", "Right")]
    assert nib.load(item["image"]).shape[2] == item["slice_count"]
    assert lists.left_out == [] and lists.split["by"] == "patient"


def test_a_roi_of_the_targets_own_name_comes_before_the_parts(prepared):
    relabel(prepared, 0, "lung_left", "lungs")
    case = select_cases(prepared, LUNGS).cases[0]
    assert [path.name for path in case.masks["lungs"]] == ["Lung-Left.nii.gz"]


def test_rois_that_share_a_label_are_all_taken(prepared):
    relabel(prepared, 0, "lung_right", "lung_left")
    case = select_cases(prepared, {"left": ["lung_left"]}).cases[0]
    assert len(case.masks["left"]) == 2


def test_a_case_without_all_parts_is_left_out_and_named(prepared, caplog):
    relabel(prepared, 1, "lung_left", "gtv")
    lists = select_cases(prepared, LUNGS)
    assert lists.case_ids()["training"] == ["P1", "P3"]
    (entry,) = lists.left_out
    assert (entry["case_id"], entry["kind"]) == ("P2", "no label")
    assert "lung_left" in entry["reason"] and "gtv, lung_right" in entry["reason"]
    assert "P2" in caplog.text


def test_half_a_refused_lung_is_no_lung(prepared):
    def refuse(content):
        content["cases"][0]["rois"].append(
            {"name": "Lung L low", "label": "lung_left", "status": "refused", "reason": "open contour", "file": None}
        )

    edit(prepared, "dataset.json", refuse)
    lists = select_cases(prepared, LUNGS)
    assert lists.case_ids()["training"] == ["P2", "P3"]
    assert "Lung L low (lung_left) was refused by lungseg-prep: open contour" in lists.left_out[0]["reason"]


def test_a_roi_that_was_never_drawn_takes_nothing_away(prepared):
    def add_templates(content):
        content["cases"][0]["rois"] += [empty_roi("Lung_L", "lung_left"), empty_roi("Lung_R", "lung_right")]

    edit(prepared, "dataset.json", add_templates)
    assert select_cases(prepared, LUNGS).case_ids()["training"] == ["P1", "P2", "P3"]


def test_nothing_but_an_empty_roi_is_no_lung(prepared):
    relabel(prepared, 0, "lung_left", "gtv")
    edit(prepared, "dataset.json", lambda content: content["cases"][0]["rois"].append(empty_roi("Lung_L", "lung_left")))
    (entry,) = select_cases(prepared, LUNGS).left_out
    assert "Lung_L (lung_left) was refused by lungseg-prep: no contours" in entry["reason"]


def test_no_case_left_names_wanted_and_existing_labels(prepared):
    with pytest.raises(DatasetError, match=r"heart = heart.*labels there: lung_left, lung_right"):
        select_cases(prepared, {"heart": ["heart"]})


def test_damaged_cases_are_left_out_and_the_others_stay(prepared):
    (prepared / "P1/masks/Lung-Left.nii.gz").unlink()
    shifted = nib.load(prepared / "P2/masks/Lung-Left.nii.gz")
    affine = shifted.affine.copy()
    affine[0, 3] += 5
    nib.save(nib.Nifti1Image(np.asarray(shifted.dataobj), affine), prepared / "P2/masks/Lung-Left.nii.gz")
    lists = select_cases(prepared, LUNGS)
    assert lists.case_ids()["training"] == ["P3"]
    reasons = {entry["case_id"]: entry for entry in lists.left_out}
    assert "missing" in reasons["P1"]["reason"] and "Lung-Left.nii.gz" in reasons["P1"]["reason"]
    assert "another grid than its image: as many voxels, but up to 5 mm away" in reasons["P2"]["reason"]
    assert {entry["kind"] for entry in lists.left_out} == {"damaged"}
    (prepared / "P3/masks/Lung-Left.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"no case of the training list.*P3.*missing") as told:
        select_cases(prepared, LUNGS)
    assert "--labels" not in str(told.value)  # they are not what is wrong


@pytest.mark.parametrize(
    ("content", "told"), [(b"not a nifti", "read as NIfTI"), (b"", "read as NIfTI"), (None, "missing")]
)
def test_an_image_that_is_none(prepared, content, told):
    path = prepared / "P1/image.nii.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (entry,) = select_cases(prepared, LUNGS).left_out
    assert told in entry["reason"]


def test_a_volume_with_four_axes_is_none(prepared):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), prepared / "P1/image.nii.gz")
    (entry,) = select_cases(prepared, LUNGS).left_out
    assert "[4, 4, 4, 2]" in entry["reason"]


def test_slices_of_a_split_within_one_patient(prepared):
    def ranges(content):
        content["training"] = [{**content["training"][0], "slices": [[0, 5], [9, 12]]}]
        content["test"] = [{**content["training"][0], "slices": [[12, 99]]}]
        content["split"] |= {"by": "slice", "warning": "one patient"}

    edit(prepared, "datalist.json", ranges)
    lists = select_cases(prepared, LUNGS)
    assert [case.slice_count for case in lists.cases] == [8]
    assert "99" in lists.left_out[0]["reason"]
    assert lists.split["warning"] == "one patient"


def test_folds(prepared):
    def folds(content):
        for number, entry in enumerate(content["training"]):
            entry["fold"] = number % 2

    with pytest.raises(DatasetError, match="no folds"):
        select_cases(prepared, LUNGS, fold=0)
    edit(prepared, "datalist.json", folds)
    lists = select_cases(prepared, LUNGS, fold=1)
    assert lists.case_ids() == {"training": ["P1", "P3"], "validation": ["P2"], "test": ["P4"]}
    with pytest.raises(DatasetError, match=r"fold 2 .*\[0, 1\]"):
        select_cases(prepared, LUNGS, fold=2)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("datalist.json", None, "lungseg-prep split"),
        ("dataset.json", None, "lungseg-prep dicom2nifti"),
        ("dataset.json", "{", "can't be read"),
        ("dataset.json", "[]", "JSON object"),
        ("dataset.json", '{"cases": [{}]}', "damaged"),
        ("datalist.json", '{"training": [{}]}', "damaged"),
        ("datalist.json", '{"training": 3}', "damaged"),
    ],
)
def test_missing_and_damaged_lists(prepared, name, text, told):
    (prepared / name).unlink()
    if text is not None:
        (prepared / name).write_text(text)
    with pytest.raises(DatasetError, match=told):
        select_cases(prepared, LUNGS)


def test_an_empty_training_list(prepared):
    write_datalist(prepared, {"training": [], "validation": [], "test": []})
    with pytest.raises(DatasetError, match=r"training list .* is empty"):
        select_cases(prepared, LUNGS)


def test_a_stale_split(prepared):
    edit(prepared, "dataset.json", lambda content: content["cases"].pop(0))
    (entry,) = select_cases(prepared, LUNGS).left_out
    assert "split again" in entry["reason"]


def test_an_unknown_section(prepared):
    with pytest.raises(ConfigError, match="no section 'tests'; there are: training, validation, test"):
        select_cases(prepared, LUNGS, needed=["tests"])


def test_no_folder_at_all(tmp_path):
    with pytest.raises(DatasetError, match="nowhere is no folder"):
        select_cases(tmp_path / "nowhere", LUNGS)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"image": ["lung_left"]},
        ["lung_left"],
        {"lungs": "lung_left"},
        {"a b/c": ["gtv"]},
        {"../x": ["gtv"]},
        {".x": ["gtv"]},
        {"": ["gtv"]},
    ],
)
def test_labels_that_can_not_be_right(prepared, labels):
    with pytest.raises(ConfigError, match="labels"):
        select_cases(prepared, labels)


TUMOR = {"tumor": ["gtv", "gtv_nodes"]}


def test_a_patient_without_tumour_has_an_empty_mask(prepared, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    relabel(prepared, 0, "lung_left", "gtv")
    lists = select_cases(prepared, TUMOR, optional=["tumor"])
    assert lists.case_ids() == {"training": ["P1", "P2", "P3"], "validation": [], "test": ["P4"]}
    assert [len(case.masks["tumor"]) for case in lists.cases] == [1, 0, 0, 0] and lists.left_out == []
    assert lists.items("training")[1]["tumor"] == []
    assert "No tumor was drawn, taken as none there: P2, P3, P4" in caplog.text
    with pytest.raises(DatasetError, match="no case of the training list"):
        select_cases(prepared, TUMOR)


def test_a_tumour_that_was_drawn_but_refused_is_not_no_tumour(prepared):
    def change(content):
        refused = {"name": "GTV", "label": "gtv", "status": "refused", "reason": "open contour", "file": None}
        content["cases"][0]["rois"].append(refused)
        content["cases"][1]["rois"].append(empty_roi("GTV", "gtv"))

    edit(prepared, "dataset.json", change)
    lists = select_cases(prepared, TUMOR, optional=["tumor"])
    assert lists.case_ids()["training"] == ["P2", "P3"]
    assert "GTV (gtv) was refused by lungseg-prep: open contour" in lists.left_out[0]["reason"]


def test_optional_targets_are_among_the_labels(prepared):
    with pytest.raises(ConfigError, match="optional"):
        select_cases(prepared, LUNGS, optional=["tumor"])
