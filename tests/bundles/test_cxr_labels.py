"""Masks that the radiograph bundles learn from: one of both lungs, or one a lung; half a chest is named, not learnt."""

import json

import pytest
from prepared_radiographs import make_radiographs
from workflows import workflow

BUNDLES = ("cxr_lung_unet", "cxr_lung_fcnn", "cxr_lung_deeplabv3", "cxr_lung_resnet50_unet")


@pytest.fixture
def mixed(tmp_path):
    """X1 has a mask of both lungs, X2 one of each, X3 only of the left one."""
    whole = make_radiographs(tmp_path / "whole", 3)
    sides = make_radiographs(tmp_path / "mixed", 3, {"training": [0, 1, 2], "validation": [0], "test": [0]}, sides=True)
    (whole / "X1" / "masks" / "lungs.png").rename(sides / "X1" / "masks" / "lungs.png")
    change(sides, "X1", ["lungs"])
    change(sides, "X3", ["lung_left"])
    return sides


def change(prepared, case_id, labels):
    for name in ("dataset.json", "datalist.json"):
        content = json.loads((prepared / name).read_text())
        for case in content.get("cases", []):
            if case["id"] == case_id:
                roi = case["rois"][0]
                case["rois"] = [{**roi, "label": one, "file": f"{case_id}/masks/{one}.png"} for one in labels]
        for entry in (one for list_ in ("training", "validation", "test") for one in content.get(list_, [])):
            if entry["case_id"] == case_id:
                entry |= {"label": [f"{case_id}/masks/{one}.png" for one in labels], "label_names": labels}
        (prepared / name).write_text(json.dumps(content))


@pytest.mark.parametrize("setting", ["recommended", "paper"])
@pytest.mark.parametrize("bundle", BUNDLES)
def test_masks_of_both_forms_are_taken_and_half_a_chest_is_named(bundle, setting, mixed):
    made = workflow(bundle, "train.yaml", dataset_dir=str(mixed), setting=setting)
    cases = made.parser.get_parsed_content("cases")
    masks = {case.case_id: [path.stem for path in case.masks["lungs"]] for case in cases.section("training")}
    assert masks == {"X1": ["lungs"], "X2": ["lung_left", "lung_right"]}
    assert [(one["case_id"], one["kind"]) for one in cases.left_out] == [("X3", "no label")]
    assert "no whole lung_right (there: lung_left)" in cases.left_out[0]["reason"]
