"""Regions that are told apart: where they lie, of what shape; and the command from a prepared folder to its table."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from lungseg_monai.cli import main
from lungseg_monai.networks import VggSegNet
from lungseg_monai.reproduce.nodules.page import picture
from lungseg_monai.reproduce.nodules.regions import LEAST_PIXELS, SLICES, Chest, regions_of, slices_of
from lungseg_monai.reproduce.nodules.values import crop_around

SHAPE = (48, 40, 20)


def ball(centre, radius_px):
    away = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return (away**2).sum(axis=0) <= radius_px**2


def made(case_id="A", nodules=((20, 12, 6),), wrong=((30, 28, 14),), missed=()):
    """A chest whose lungs fill its middle, with vessels; the network found `nodules` but for `missed`, and `wrong`."""
    lungs = np.zeros(SHAPE, bool)
    lungs[4:44, 3:37] = True
    nodule = np.any([ball(centre, 4) for centre in (*nodules, *missed)], axis=0)
    found = np.any([ball(centre, 3) for centre in (*nodules, *wrong)], axis=0)
    random = np.random.default_rng(0)
    image = np.where(lungs, 0.1, 0.7) + 0.02 * random.random(SHAPE)
    image[10:40:8, 5:36] = 0.6
    image[nodule] = 0.75
    return Chest(case_id, image.astype(np.float32), nodule, lungs, found)


def regions(chest, by_network=False, seed=0):
    return regions_of(chest, by_network, np.random.default_rng(seed))


def test_what_is_no_nodule_lies_in_the_lungs_on_slices_without_one():
    chest = made()
    found = regions(chest)
    assert {region.kind for region in found} == {"nodule", "false positive", "vessel", "lung"}
    for region in found:
        on_slice = chest.nodule[..., region.k]
        assert region.mask.sum() >= LEAST_PIXELS and region.label == (region.kind == "nodule")
        if region.label:
            np.testing.assert_array_equal(region.mask, on_slice)
        else:
            assert not on_slice.any() and chest.lungs[..., region.k][region.mask].all()
    assert all(chest.found[..., one.k][one.mask].all() for one in found if one.kind == "false positive")
    assert not any(chest.found[..., one.k][one.mask].any() for one in found if one.kind in ("lung", "vessel"))


def test_lung_and_vessel_have_the_shapes_of_the_nodules():
    found = regions(made())
    sizes = {kind: sorted(int(one.mask.sum()) for one in found if one.kind == kind) for kind in ("nodule", "lung")}
    assert len(sizes["nodule"]) == SLICES and sizes["nodule"] == sizes["lung"]
    vessels = [one for one in found if one.kind == "vessel"]
    assert vessels and all(one.image[one.mask].max() > 0.3 for one in vessels)


def test_nodules_of_the_network_are_those_that_it_found():
    chest = made(missed=((34, 28, 6),))
    reference, predicted = (
        [one for one in regions(chest, by_network) if one.label] for by_network in (False, True)
    )  # fmt: skip
    assert len(reference) == 2 * SLICES and len(predicted) == SLICES
    assert all(chest.found[..., one.k][one.mask].all() for one in predicted)


def test_the_seed_decides():
    def places(seed):
        return [(one.kind, one.k, one.centre) for one in regions(made(), seed=seed)]

    assert places(1) == places(1) != places(2)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_slices_are_spread_over_the_piece_and_small_ones_left_out(count):
    piece = np.zeros((6, 5, 14), bool)
    piece[:4, :3, 2 : 2 + count] = True
    piece[0, 0, 1] = True  # a tip of one pixel
    found = [k for k, mask in slices_of(piece) if mask.sum() == LEAST_PIXELS]
    assert len(found) == min(count, SLICES) and set(found) <= set(range(2, 2 + count))
    assert slices_of(piece[..., :2]) == []


def test_a_crop_has_the_region_in_its_middle_and_air_around_even_at_the_edge_of_the_slice():
    (region, *_) = regions(made(nodules=((6, 33, 6),)))
    crop = crop_around(region, side=32)
    assert crop.shape == (32, 32) and crop[16, 16] == region.image[region.centre]
    np.testing.assert_array_equal(np.sort(crop[crop > 0]), np.sort(region.image[region.mask]))


def test_a_row_of_the_picture_for_each_kind_that_there_is():
    few = [one for one in regions(made()) if one.kind in ("nodule", "lung")]
    assert picture(few).shape[0] * 2 == picture(regions(made())).shape[0]
    assert len(np.unique(picture(few).reshape(-1, 3), axis=0)) > 10


def prepared(folder, patients=4):
    """Cases of a PREPARED folder, the last without nodule; and a run with weights of width 2 and predictions."""
    cases, entries, journal = [], [], []
    for number in range(patients):
        name = f"P{number}"
        chest = made(name, nodules=((20, 10 + number, 6),))
        free = number == patients - 1
        masks = {"lung_left": chest.lungs, "lung_right": chest.lungs} | ({} if free else {"gtv": chest.nodule})
        files = {label: f"{name}/{label}.nii.gz" for label in masks}
        (folder / name).mkdir(parents=True)
        (folder / "run" / "predictions").mkdir(parents=True, exist_ok=True)
        hu = (chest.image * 1400 - 1000).astype(np.int16)
        for file, voxels in {f"{name}/image.nii.gz": hu, f"run/predictions/{name}.nii.gz": chest.found,
                             **{files[label]: mask for label, mask in masks.items()}}.items():  # fmt: skip
            whole = voxels if voxels.dtype == np.int16 else voxels.astype(np.uint8)
            nib.save(nib.Nifti1Image(whole, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / file)
        rois = [{"name": label, "label": label, "status": "ok", "reason": None, "file": file}
                for label, file in files.items()]  # fmt: skip
        patient = {"patient_id": "twice here"} if number < 2 else {}
        cases.append({"id": name, **patient, "status": "ok", "image": f"{name}/image.nii.gz", "rois": rois})
        entries.append({"case_id": name, "image": f"{name}/image.nii.gz", "label": list(files.values()),
                        "label_names": list(files)})  # fmt: skip
        journal.append({"case_id": name, "files": {"nodule": f"{name}.nii.gz"}})
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    (folder / "datalist.json").write_text(json.dumps({"validation": entries[:2], "test": entries[2:]}))
    (folder / "run" / "predictions" / "predictions.json").write_text(json.dumps({"cases": journal}))
    numbers = {"labels": {"nodule": ["gtv"]}, "fold": None, "width": 2, "spatial_size": [64, 64],
               "window_hu": [-1000, 400]}  # fmt: skip
    torch.manual_seed(0)
    (folder / "run" / "checkpoints").mkdir()
    torch.save({"model": VggSegNet(width=2).state_dict(), "numbers": numbers},
               folder / "run" / "checkpoints" / "best.pt")  # fmt: skip
    return folder


def test_the_command_writes_the_same_tables_twice(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra classify")
    data = prepared(tmp_path)
    command = ["reproduce", "khan", "--data", str(data), "--run", str(data / "run"), "--folds", "2", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert main([*command, "--out", str(tmp_path / "two"), "--json"]) == 0
    one, two = (json.loads((tmp_path / name / "khan.json").read_text()) for name in ("one", "two"))
    assert one == two == json.loads(capsys.readouterr().out)
    assert one["patients"] == {"all": 3, "with_regions": 3}
    assert one["kinds"]["nodule"] == 3 * SLICES
    assert one["kinds"]["false positive"] == 5 * SLICES  # of the patient without nodule both that were found
    assert set(one["scores"]) == {"handcrafted", "deep", "joined"} and len(one["scores"]["deep"]) == 6
    best = max(score["accuracy"] for score in one["scores"]["handcrafted"])
    assert best > 0.9  # bright balls against a piece of lung
    page = (tmp_path / "one" / "khan.md").read_text()
    assert "97.83 %" in page and "can't be compared" in page and (tmp_path / "one" / "regions.png").is_file()


def test_predicted_nodules_need_predictions(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra classify")
    data = prepared(tmp_path, patients=2)
    (data / "run" / "predictions" / "predictions.json").unlink()
    command = ["reproduce", "khan", "--data", str(data), "--run", str(data / "run"), "--out", str(tmp_path / "out")]
    assert main([*command, "--regions", "predicted"]) == 2
    assert "inference.yaml" in capsys.readouterr().err


def test_a_run_without_weights_says_how_to_train(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra classify")
    assert main(["reproduce", "khan", "--data", str(tmp_path), "--run", str(tmp_path), "--out", str(tmp_path)]) == 3
    assert "lungseg train ct_nodule_vgg_segnet" in capsys.readouterr().err
