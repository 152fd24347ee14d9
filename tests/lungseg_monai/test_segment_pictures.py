"""The model of radiographs: labels of the picture's own size, conventions, rules, polarity, backends."""

from dataclasses import replace

import numpy as np
import pytest
from radiograph_bundle import SIZE, dice, film, use_bundles, write_radiograph_bundle

from lungseg_monai import Segmenter
from lungseg_monai.errors import ImageError, ModelError, UsageError
from lungseg_monai.postprocessing_cxr import RULES, lung_mask_on_image
from lungseg_monai.segment.models import modality_of
from lungseg_monai.segment.pictures import PictureModel
from lungseg_monai.segment.radiographs.certainty import confidence_of, sure_share
from lungseg_monai.segment.radiographs.doubts import doubts
from lungseg_monai.segment.radiographs.polarity import Seen, inverted, lift_of, truly_inverted

VALUES, TRUTH = film()
BYTES = np.round(VALUES * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("bundles")
    write_radiograph_bundle(root)
    write_radiograph_bundle(root, "cxr_lung_two", channels=2)
    write_radiograph_bundle(root, "cxr_lung_three", channels=3)
    write_radiograph_bundle(root, "cxr_lung_whole", convention="anatomical")
    return root


@pytest.fixture(scope="module")
def model(bundles):
    return PictureModel(bundles / "cxr_lung_dark", spatial_size=SIZE, backend="onnxruntime", threads=1)


@pytest.fixture
def known(bundles, monkeypatch):
    use_bundles(monkeypatch, bundles)
    return bundles


def opened(name, **options):
    return Segmenter(name, backend="onnxruntime", threads=1, **options)


def test_labels_lie_where_the_lungs_are_at_the_pictures_own_size(model):
    for rows, columns in ((160, 130), (97, 211), (400, 300)):
        values, truth = film(rows, columns)
        found = model.segment((values * 65535).astype(np.uint16), probabilities=True)
        assert found.labels_ijk.shape == (rows, columns)
        assert found.labels_ijk.dtype == np.uint8
        for label in (1, 2):
            assert dice(found.labels_ijk == label, truth == label) > 0.95
        assert found.probability.shape == (1, rows, columns)
        assert dice(found.probability[0] > 0.5, truth > 0) > 0.95
        assert all(0.9 < one <= 1 for one in found.confidence.values())


def test_a_mirrored_picture_is_known_by_flipped_alone(model):
    found = model.segment(np.ascontiguousarray(BYTES[:, ::-1]), flipped=True).labels_ijk
    plain = model.segment(BYTES, flipped=False)
    assert dice(found[:, ::-1] == 1, plain.labels_ijk == 1) > 0.97
    assert dice(found[:, ::-1] == 2, plain.labels_ijk == 2) > 0.97
    assert "side_assumed" not in [flag.code for flag in plain.flags]
    assert "side_assumed" in [flag.code for flag in model.segment(BYTES).flags]


def test_two_channels_give_what_one_does(bundles, model):
    two = PictureModel(bundles / "cxr_lung_two", spatial_size=SIZE, backend="onnxruntime", threads=1)
    np.testing.assert_allclose(two.probability(BYTES), model.probability(BYTES), atol=1e-6)
    three = PictureModel(bundles / "cxr_lung_three", spatial_size=SIZE, backend="onnxruntime", threads=1)
    with pytest.raises(ModelError, match="1 or 2 channels"):
        three.segment(BYTES)


def test_mirroring_gives_the_mean_of_both(bundles, model):
    both = PictureModel(bundles / "cxr_lung_dark", spatial_size=SIZE, backend="onnxruntime", threads=1, mirror=True)
    np.testing.assert_allclose(both.probability(BYTES), model.probability(BYTES), atol=1e-6)  # it sees single pixels


def test_backends_agree(bundles, model):
    other = PictureModel(bundles / "cxr_lung_dark", spatial_size=SIZE, backend="openvino", threads=1)
    np.testing.assert_allclose(other.probability(BYTES), model.probability(BYTES), atol=1e-5)


def test_anatomical_is_the_visible_mask_with_both_lungs_completed(known):
    values, _ = film()
    values[75:118, 68:90] = 0.75  # a heart within the left lung
    picture = np.round(values * 255).astype(np.uint8)
    seen, whole = (opened("cxr_lung_dark", convention=one).segment(picture) for one in ("visible", "anatomical"))
    asked = opened("cxr_lung_dark").model.probability(picture)
    rules = replace(RULES["recommended"], complete="both")
    np.testing.assert_array_equal(whole.labels_ijk, lung_mask_on_image(asked, picture.shape, rules).labels)
    assert (whole.labels_ijk[seen.labels_ijk > 0] == seen.labels_ijk[seen.labels_ijk > 0]).all()
    assert (whole.labels_ijk == 2).sum() > 1.02 * (seen.labels_ijk == 2).sum()
    assert whole.confidence == pytest.approx(seen.confidence, abs=0.02)
    assert (seen.facts["convention"], whole.facts["convention"]) == ("visible", "anatomical")


def test_a_model_of_anatomical_lungs_gives_no_visible_ones(known):
    facts = opened("cxr_lung_whole").model.facts
    assert (facts["convention"], facts["trained_convention"]) == ("anatomical", "anatomical")
    assert facts["rules"]["complete"] == "none"
    with pytest.raises(UsageError, match="can't be taken away"):
        opened("cxr_lung_whole", convention="visible")


def test_rules_of_the_paper_tell_no_sides(known):
    found = opened("cxr_lung_dark", rules="paper")
    assert set(np.unique(found(BYTES))) == {0, 1}
    assert found.segment(BYTES).names == {1: "lungs"}
    with pytest.raises(UsageError, match="--rules paper"):
        opened("cxr_lung_dark", rules="paper", convention="anatomical")


def test_options_that_make_no_sense(known):
    wrong = ({"rules": "tuned"}, {"convention": "all"}, {"vessels": "in"}, {"polarity": "x"}, {"steps": "no"})
    for options in wrong:
        with pytest.raises(UsageError):
            opened("cxr_lung_dark", **options)
    with pytest.raises(UsageError, match="affine_ras"):
        opened("cxr_lung_dark")(BYTES, np.eye(4))


def test_modality_is_told_without_loading_the_model(known):
    assert modality_of("cxr_lung_dark") == "CR"
    assert modality_of("ct_lungs") == modality_of("no such bundle") == "CT"


def test_segmenter_takes_arrays_of_all_kinds(known, tmp_path):
    import torch
    from PIL import Image

    segmenter = opened("cxr_lung_dark")
    wanted = segmenter(BYTES)
    rgb = np.repeat(BYTES[..., None], 3, axis=2)
    path = tmp_path / "a.png"
    Image.fromarray(BYTES).save(path)
    for one in (BYTES.astype(np.int64), BYTES[None], rgb, torch.from_numpy(BYTES), Image.fromarray(BYTES), path,
                str(path), BYTES / 255, BYTES * 3.0 - 70):  # fmt: skip
        labels = segmenter(one)
        assert labels.dtype == np.uint8
        assert dice(labels == 1, wanted == 1) > 0.99
        assert dice(labels == 2, wanted == 2) > 0.99
    assert set(np.unique(opened("cxr_lung_dark", roi="left")(BYTES))) == {0, 1}


def test_segmenter_refuses_what_is_no_radiograph(known):
    segmenter = opened("cxr_lung_dark")
    for wrong in (np.zeros((100, 90), np.uint8), np.eye(3, dtype=np.uint8), np.full((80, 80), np.nan),
                  BYTES.astype(np.int32) - 900):  # fmt: skip
        with pytest.raises(ImageError):
            segmenter(wrong)
    for wrong in (np.zeros((4, 100, 90)), "nowhere.png", {"image": 1}):
        with pytest.raises(UsageError):
            segmenter(wrong)


def test_a_negative_of_a_negative_is_the_picture():
    for picture in (BYTES, BYTES.astype(np.uint16) * 200 + 7, VALUES.astype(np.float32)):
        np.testing.assert_allclose(inverted(inverted(picture)), picture, atol=1e-6)
    lungs = (TRUTH > 0).astype(np.float32)
    lift = lift_of(BYTES, lungs, TRUTH.shape)
    assert lift < -0.3
    assert lift_of(inverted(BYTES), lungs, TRUTH.shape) == pytest.approx(-lift, abs=0.02)


@pytest.mark.parametrize(
    ("first", "negative", "wanted"),
    [
        ((0.9, -0.4), (0.95, 0.4), False),  # dark lungs stay, however sure of the negative
        ((0.9, 0.4), (0.92, -0.4), True),
        ((0.9, 0.4), (0.5, -0.4), False),
        ((0.0, None), (0.9, -0.3), True),  # nothing found as it is
        ((0.6, -0.2), (0.9, -0.3), False),
        ((0.0, None), (0.0, None), False),
    ],
)
def test_which_polarity_is_taken(first, negative, wanted):
    empty = np.zeros((2, 2), np.float32)
    assert truly_inverted(Seen(empty, *first), Seen(empty, *negative)) is wanted


def test_confidence_is_the_dice_with_the_network_itself():
    probability = np.zeros((40, 60), np.float32)
    probability[5:35, 5:25], probability[5:35, 35:55] = 1.0, 0.8
    labels = np.zeros((80, 120), np.uint8)
    labels[10:70, 10:50], labels[10:70, 70:110] = 1, 2
    found = confidence_of(probability, labels, {1: "lung_right", 2: "lung_left"})
    assert found["lung_right"] == pytest.approx(1)
    assert found["lung_left"] == pytest.approx(2 * 0.8 / 1.8)
    labels[labels == 2] = 0
    alone = confidence_of(probability, labels, {1: "lung_right", 2: "lung_left"})
    assert alone["lung_left"] == 0
    assert alone["lung_right"] == pytest.approx(2 / 2.8)  # what was left out counts against it
    assert sure_share(np.zeros((4, 4), np.float32)) == 0


def test_doubts():
    def codes(picture, labels, confidence=None, turned=False):
        return [flag.code for flag in doubts(picture, labels, confidence or {"lung_right": 0.95}, turned)]

    assert codes(BYTES, TRUTH) == []
    assert codes(inverted(BYTES), TRUTH) == ["bright_lungs"]
    assert codes(inverted(BYTES), TRUTH, turned=True) == []
    assert codes(BYTES, TRUTH, {"lung_right": 0.6}) == ["unsure"]
    assert codes(BYTES, TRUTH[::-1, :] * 0) == []
    turned = np.ascontiguousarray(BYTES.T), np.ascontiguousarray(TRUTH.T)
    assert codes(*turned) == ["odd_lungs"]
    y, x = np.mgrid[:200, :240]
    body = ((y - 100) / 70) ** 2 + ((x - 120) / 100) ** 2 < 1
    slice_ = (body * 150 + ((y + x) % 7)).astype(np.uint8)
    assert codes(slice_, np.zeros_like(slice_)) == ["ct_slice"]
    framed = np.pad(BYTES, 30)
    assert codes(framed, np.pad(TRUTH, 30)) == []
