"""From an image to lungs on its own grid, with a stand-in for the network: whatever the grid, the same lungs."""

import json

import numpy as np
import pytest
from lung_stub import GRIDS, Stub, chest

from lungseg_monai.errors import ImageError, UsageError
from lungseg_monai.segment import lungs
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.lungs import LungModel


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(lungs, "open_backend", lambda *given: Stub())
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"version": "0.9.1"}))
    return LungModel(tmp_path, threads=1)


@pytest.mark.parametrize("name", list(GRIDS))
def test_lungs_are_found_on_any_grid_each_on_its_side(model, name):
    image, truth = chest(name)
    before = image.array_ijk.copy()
    found = model.segment(image, probabilities=True)
    assert found.labels_ijk.shape == truth.shape and found.labels_ijk.dtype == np.uint8
    for label in (1, 2):
        ours, theirs = found.labels_ijk == label, truth == label
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.98
        assert (found.probability[label - 1] > 0.5)[theirs].mean() > 0.95
    assert found.probability.dtype == np.float16 and found.probability.shape == (2, *truth.shape)
    assert not [flag for flag in found.flags if flag.severity == "alarm"]
    assert set(found.confidence) == set(found.names.values()) == {"lung_right", "lung_left"}
    assert {"check", "grid", "network", "rules", "back", "borders"} <= set(found.timings_s)
    np.testing.assert_array_equal(image.array_ijk, before)


def test_no_lung_is_an_alarm_and_no_error(model):
    found = model.segment(chest("axial", with_lungs=False)[0])
    assert not found.labels_ijk.any() and found.probability is None
    assert [flag.code for flag in found.flags if flag.severity == "alarm"] == ["no_lung"]


def test_a_lung_cut_by_the_image_is_kept_up_to_its_edge(model):
    image, truth = chest("axial")
    cut = np.s_[:, :, 20:40]
    affine = image.affine_ras.copy()
    affine[:3, 3] += 20 * affine[:3, 2]
    found = model.segment(Image(image.array_ijk[cut], affine)).labels_ijk
    for plane in (0, -1):
        ours, theirs = found[:, :, plane] > 0, truth[cut][:, :, plane] > 0
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.97


def test_options_reach_the_border(model, tmp_path):
    image, _ = chest("axial")
    image.array_ijk[43:48, 53:58, 28:32] = 30  # a nodule of 2.5 ml in the right lung
    closed = model.segment(image).labels_ijk
    opened = LungModel(tmp_path, vessels="out").segment(image).labels_ijk
    dense = image.array_ijk > -100
    assert (closed[dense] > 0).sum() >= 90 > 10 > (opened[dense] > 0).sum()


def test_what_can_not_be_right_is_refused(model, tmp_path):
    with pytest.raises(UsageError, match="vesels"):
        LungModel(tmp_path, vesels="out")
    with pytest.raises(UsageError, match="vessels"):
        LungModel(tmp_path, vessels="some")
    with pytest.raises(ImageError):
        model.segment(Image(np.zeros((4, 4), np.int16), np.eye(4)))


def test_facts_say_which_model_it_was(model, tmp_path):
    assert model.facts == {
        "bundle": tmp_path.name,
        "version": "0.9.1",
        "weights_sha256": "0" * 64,
        "backend": "stub",
        "device": "cpu",
        "threads": 1,
    }


def test_notes_of_the_backend_are_told(model):
    model.network.notes.append("too little memory on cuda: cpu")
    flags = model.segment(chest("axial")[0]).flags
    assert [(flag.severity, flag.what) for flag in flags if flag.code == "backend"] == [
        ("note", "too little memory on cuda: cpu")
    ]


def test_mirrored_the_network_is_asked_twice_and_the_sides_stay(model, monkeypatch):
    image, truth = chest("axial")
    shown = []
    monkeypatch.setattr(Stub, "__call__", lambda stub, x, ask=Stub.__call__: shown.append(x.copy()) or ask(stub, x))
    once = model.segment(image).labels_ijk
    model.mirror = True
    twice = model.segment(image).labels_ijk
    assert len(shown) == 3 and not np.array_equal(shown[1], shown[2])
    assert (once == twice).mean() > 0.999
    for label in (1, 2):
        assert 2 * ((twice == label) & (truth == label)).sum() > 0.98 * (
            (twice == label).sum() + (truth == label).sum()
        )
