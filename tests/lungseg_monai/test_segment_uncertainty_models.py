"""`--uncertainty` by each kind of model and by the command: what is asked, what is written; no mask moves."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from lung_stub import Stub, chest
from PIL import Image as Picture
from radiograph_bundle import SIZE, film, use_bundles, write_radiograph_bundle
from segment_factory import FakeModel, use_fake, write_chest_nifti
from tumor_bundle import chest_with_tumors, tumor_model, use_bright, write_tumor_bundle

from lungseg_monai.cli import main
from lungseg_monai.segment import lungs
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.lungs import LungModel
from lungseg_monai.segment.pictures import PictureModel

FIVE = ["mirrored", "smaller, first corner", "smaller, last corner", "brighter", "darker"]
LPS = np.diag([-4.0, -5.0, 6.0, 1.0])


class Fickle(Stub):
    """One who knows, but sees no left lung in an image that is too dark. shown: how often it was asked."""

    shown = 0

    def __call__(self, x):
        self.shown += 1
        logits = super().__call__(x)
        if np.median(x[x > -0.3]) < 0.727:  # soft tissue of 40 HU is 0.733
            logits[0, 2], logits[0, 0] = -8, np.where(logits[0, 1] > 0, 0, 8)
        return logits


@pytest.fixture
def lung_bundle(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"version": "0.9.1"}))
    return tmp_path


def test_lungs_are_asked_for_six_times_and_stay_as_they_are(lung_bundle, monkeypatch):
    network = Fickle()
    monkeypatch.setattr(lungs, "open_backend", lambda *given: network)
    image, truth = chest("axial")
    plain = LungModel(lung_bundle, threads=1).segment(image)
    assert network.shown == 1 and plain.uncertainty_percent is None and plain.uncertainty == {}
    found = LungModel(lung_bundle, threads=1, uncertainty=True).segment(image)
    assert network.shown == 7
    np.testing.assert_array_equal(found.labels_ijk, plain.labels_ijk)
    assert found.uncertainty["answers"] == 6 and found.uncertainty["changes"] == FIVE
    held, rois = found.uncertainty_percent, found.uncertainty["rois"]
    assert held.shape == truth.shape and held.dtype == np.uint8 and held.max() <= 50
    assert np.median(held[truth == 2]) == pytest.approx(37, abs=1)  # one answer of six is 0, the others are 1
    assert np.median(held[truth == 1]) == 0
    assert rois["lung_left"]["flip_percent"] > 95 > 20 > rois["lung_right"]["flip_percent"]
    assert rois["lung_left"]["dice"] < 0.85 < 0.95 < rois["lung_right"]["dice"]
    assert [flag.code for flag in found.flags if flag not in plain.flags] == ["uncertain"]
    assert "lung_left" in found.flags[-1].what and "lung_right" not in found.flags[-1].what


def test_what_vessels_make_ragged_is_no_flag(lung_bundle, monkeypatch):
    monkeypatch.setattr(lungs, "open_backend", lambda *given: Stub())
    monkeypatch.setattr(lungs, "LIMITS", replace(lungs.LIMITS, ragged=0.5))
    found = LungModel(lung_bundle, threads=1, uncertainty=True, vessels="out").segment(chest("axial")[0])
    assert found.uncertainty["rois"]["lung_right"]["ragged"] > 0.5
    assert "ragged_border" not in [flag.code for flag in found.flags]


def test_a_film_gets_its_map_and_each_side_its_numbers(tmp_path):
    bundle = write_radiograph_bundle(tmp_path)
    made = {"spatial_size": SIZE, "backend": "onnxruntime", "threads": 1}
    values, _ = film()
    plain = PictureModel(bundle, **made).segment(values)
    found = PictureModel(bundle, uncertainty=True, **made).segment(values)
    np.testing.assert_array_equal(found.labels_ijk, plain.labels_ijk)
    assert found.uncertainty_percent.shape == values.shape and 0 < found.uncertainty_percent.max() <= 50
    rois = found.uncertainty["rois"]
    assert set(rois) == {"lung_right", "lung_left"} and found.uncertainty["answers"] == 6
    assert all(0.9 < one["dice"] <= 1 and 0.9 < one["ragged"] < 1.2 for one in rois.values())
    ramp = np.linspace(0, 1, 90, dtype=np.float32)[None] * np.ones((80, 1), np.float32)
    assert PictureModel(bundle, uncertainty=True, **made).segment(ramp).uncertainty_percent.shape == (80, 90)


@pytest.mark.parametrize("within", [None, "lungs"])
@pytest.mark.parametrize("intensity", ["window", "stretch"])
def test_a_tumor_is_sure_where_the_network_is_not_moved(tmp_path, monkeypatch, within, intensity):
    use_bright(monkeypatch)
    bundle = write_tumor_bundle(tmp_path / "bundles")
    image = Image(chest_with_tumors(np.s_[5:9, 6:10, 2:7]), LPS)
    options = {"within": within, "intensity": intensity}
    plain = tumor_model(bundle, **options).segment(image)
    found = tumor_model(bundle, uncertainty=True, **options).segment(image)
    np.testing.assert_array_equal(found.labels_ijk, plain.labels_ijk)
    assert found.uncertainty["changes"] == FIVE and set(found.uncertainty["rois"]) == {"gtv"}
    assert found.uncertainty_percent.shape == image.array_ijk.shape
    assert found.uncertainty_percent[6:8, 7:9, 4:5].max() < found.uncertainty_percent.max() <= 50
    assert 0.3 < found.uncertainty["rois"]["gtv"]["dice"] <= 1


class Doubting(FakeModel):
    def segment(self, image, *, probabilities=False):
        found = super().segment(image, probabilities=probabilities)
        held = np.where(found.labels_ijk == 2, 40, 0).astype(np.uint8)
        rois = {
            name: {"dice": 0.75, "border_percent": 20.0, "flip_percent": 30.0, "ragged": 1.2}
            for name in self.names.values()
        }
        told = {"answers": 6, "changes": FIVE, "rois": rois}
        return replace(found, uncertainty_percent=held, uncertainty=told)


def test_a_case_holds_its_map_its_numbers_and_its_look(tmp_path, monkeypatch):
    write_chest_nifti(tmp_path / "in" / "one.nii.gz")
    use_fake(monkeypatch)
    command = ["segment", str(tmp_path / "in"), "--quiet", "--out"]
    assert main([*command, str(tmp_path / "plain")]) == 0
    use_fake(monkeypatch, Doubting())
    assert main([*command, str(tmp_path / "out"), "--uncertainty", "--report"]) == 0
    plain, told = (json.loads((tmp_path / one / "one" / "case.json").read_text()) for one in ("plain", "out"))
    assert "uncertainty" not in plain and plain["look"]["reasons"] == ["partial"]
    assert told["uncertainty"]["rois"]["lung_left"]["dice"] == 0.75 and told["look"]["score"] > plain["look"]["score"]
    assert told["outputs"]["uncertainty"] == "uncertainty.nii.gz" and told["settings"]["uncertainty"] is True
    held, masks = (nib.load(tmp_path / "out" / "one" / f"{name}.nii.gz") for name in ("uncertainty", "lungs"))
    np.testing.assert_array_equal(held.affine, masks.affine)
    np.testing.assert_array_equal(np.asarray(held.dataobj), 40 * (np.asarray(masks.dataobj) == 2))
    assert (tmp_path / "out" / "one" / "preview" / "uncertainty.nii.gz").is_file()
    assert json.loads((tmp_path / "out" / "segment.json").read_text())["cases"]["one"]["look"] == told["look"]
    assert not (tmp_path / "plain" / "one" / "uncertainty.nii.gz").exists()


def test_films_by_the_command(tmp_path, monkeypatch):
    write_radiograph_bundle(tmp_path / "bundles")
    use_bundles(monkeypatch, tmp_path / "bundles")
    (tmp_path / "in").mkdir()
    Picture.fromarray(np.round(film()[0] * 255).astype(np.uint8)).save(tmp_path / "in" / "film.png")
    command = [
        "segment",
        str(tmp_path / "in"),
        "--model",
        "cxr_lung_dark",
        "--backend",
        "onnxruntime",
        "--threads",
        "1",
    ]
    assert main([*command, "--out", str(tmp_path / "out"), "--uncertainty", "--report", "--quiet"]) == 0
    with Picture.open(tmp_path / "out" / "film" / "uncertainty.png") as held:
        assert held.mode == "L" and held.size == film()[0].shape[::-1] and np.asarray(held).max() <= 50
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<img ") == 2 and "film, uncertainty" in page and "Dice of two answers" in page
    lines = (tmp_path / "out" / "report.csv").read_text().splitlines()
    assert lines[0].startswith("case,status,look,reasons") and lines[1].startswith("film,done,")
