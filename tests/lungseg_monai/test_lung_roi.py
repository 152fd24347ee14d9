"""The lungs' box and the suppression of other tissue: against plain loops, there and back, before bundles' chains."""

import re
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from tumor_prepared import make_tumor_prepared

from lungseg_monai import bundle_path
from lungseg_monai.errors import ConfigError, ImageError
from lungseg_monai.transforms.chains import image_volume
from lungseg_monai.transforms.lung_roi import (
    CropLungROId,
    SuppressNonLungd,
    lung_roi_box,
    suppress_non_lung,
    with_lung_roi,
)
from lungseg_monai.transforms.tumor_chains import tumor_volume

# Oblique, anisotropic, axes in another order: foot to head is the first axis here.
TURNED = np.array([[0.2, 1.3, 0, -80.5], [0, 0, -1.1, 60.25], [3.5, -0.1, 0, -211.0], [0, 0, 0, 1]])
UPRIGHT = np.array([[-1.3, 0.1, 0, 91.5], [-0.1, -1.1, 0, 60.25], [0, 0, 3.5, -211.0], [0, 0, 0, 1]])


def lungs(shape=(13, 22, 17)):
    """An off-centre block, small in its outermost slices along the first axis."""
    mask = np.zeros(shape, np.uint8)
    mask[3:10, 5:15, 2:9] = 1
    mask[2, 5, 2] = mask[10, 14, 8] = 1
    return mask


def item(affine=TURNED, seed=0):
    mask = lungs()
    hu = np.random.default_rng(seed).normal(40, 300, mask.shape).astype(np.float32)
    hu[mask > 0] -= 800
    volumes = {"image": hu, "lungs": mask, "label": (hu % 2 < 1).astype(np.uint8)}
    return {key: MetaTensor(torch.from_numpy(value)[None], affine=torch.from_numpy(affine)) for key, value in
            volumes.items()}  # fmt: skip


def test_the_box_is_tight_across_and_leaves_the_outermost_slices_of_the_lungs():
    """Slices with too little area don't count, and neither do those beside them."""
    mask = lungs() > 0
    assert lung_roi_box(mask, TURNED) == ((4, 9), (5, 15), (2, 9))
    assert lung_roi_box(mask, TURNED, least_share=0) == ((2, 11), (5, 15), (2, 9))
    upright = np.moveaxis(mask, 0, 2)
    assert lung_roi_box(upright, UPRIGHT) == ((5, 15), (2, 9), (4, 9))


def test_a_margin_is_in_millimetres_and_ends_at_the_image():
    mask = lungs() > 0
    spacing = np.linalg.norm(TURNED[:3, :3], axis=0)
    box = lung_roi_box(mask, TURNED, margin_mm=5.0)
    bare = lung_roi_box(mask, TURNED)
    for (low, high), (tight_low, tight_high), step, side in zip(box, bare, spacing, mask.shape, strict=True):
        assert low == 0 or 5.0 <= (tight_low - low) * step < 5.0 + step
        assert high == side or 5.0 <= (high - tight_high) * step < 5.0 + step


def test_too_few_slices_are_no_lung():
    mask = np.zeros((9, 8, 7), bool)
    assert lung_roi_box(mask, TURNED) is None
    mask[4:6, 2:5, 1:6] = True
    assert lung_roi_box(mask, TURNED) is None
    mask[6, 2:5, 1:6] = True
    assert lung_roi_box(mask, TURNED) == ((5, 6), (2, 5), (1, 6))
    whole = np.ones((5, 8, 7), bool)  # the first and last slice lack a neighbour
    assert lung_roi_box(whole, TURNED) == ((1, 4), (0, 8), (0, 7))


@pytest.mark.parametrize("margin_mm", [0.0, 7.3])
@pytest.mark.parametrize("affine", [TURNED, UPRIGHT])
def test_a_result_goes_back_on_the_original_grid_exactly(affine, margin_mm):
    given_item = item(affine)
    chain = Compose(
        [CropLungROId(["image", "label"], "lungs", margin_mm=margin_mm), SuppressNonLungd("image", "lungs")]
    )
    cut = chain(given_item)
    assert cut["image"].shape == cut["label"].shape == cut["lungs"].shape != given_item["image"].shape
    box = lung_roi_box(lungs() > 0, affine, margin_mm)
    inside = (slice(None), *(slice(*span) for span in box))
    assert torch.equal(cut["label"].as_tensor(), given_item["label"].as_tensor()[inside])
    corner = affine @ [*(start for start, _ in box), 1]  # the cut volume lies where it lay
    np.testing.assert_allclose(cut["image"].affine[:, 3].numpy(), corner, atol=1e-9)

    cut["pred"] = MetaTensor(cut["label"].as_tensor().clone(), affine=cut["image"].affine)
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=False)(cut)["pred"]
    expected = torch.zeros_like(given_item["label"].as_tensor())
    expected[inside] = given_item["label"].as_tensor()[inside]
    assert torch.equal(back.as_tensor(), expected) and expected.any()
    np.testing.assert_allclose(back.affine.numpy(), affine, atol=1e-9)
    undone = chain.inverse(cut)
    assert torch.equal(undone["label"].as_tensor(), expected) and undone["image"].shape == given_item["image"].shape


@settings(max_examples=40, deadline=None)
@given(
    mask=arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
    margin_mm=st.floats(0, 9),
    least_share=st.sampled_from([0.0, 0.03, 0.4]),
)
def test_any_box_holds_what_it_must_and_any_crop_goes_back(mask, margin_mm, least_share):
    box = lung_roi_box(mask, TURNED, margin_mm, least_share)
    slices = plain_slices(mask, least_share)
    if not len(slices):
        assert box is None
        return
    kept = np.zeros_like(mask)
    kept[slices[0] : slices[-1] + 1] = mask[slices[0] : slices[-1] + 1]
    assert kept.sum() == kept[tuple(slice(*span) for span in box)].sum()
    values = torch.arange(float(mask.size)).reshape(1, *mask.shape) + 1
    crop = CropLungROId("image", "lungs", margin_mm, least_share)
    cut = crop({"image": MetaTensor(values, affine=torch.from_numpy(TURNED)),
                "lungs": MetaTensor(torch.from_numpy(mask)[None], affine=torch.from_numpy(TURNED))})  # fmt: skip
    back = crop.inverse(cut)["image"]
    outside = back.as_tensor() == 0
    assert back.shape == values.shape and torch.equal(back.as_tensor()[~outside], values[~outside])
    assert int((~outside).sum()) == cut["image"].numel()


def plain_slices(mask, least_share):
    """By the rule as it is told, slice by slice along the first axis."""
    area = [int(plane.sum()) for plane in mask]
    largest = max(area)
    if not largest:
        return []
    if least_share == 0:
        return [k for k, one in enumerate(area) if one]
    full = [one >= least_share * largest for one in area]
    return [k for k in range(1, len(area) - 1) if full[k - 1] and full[k] and full[k + 1]]


@settings(max_examples=40, deadline=None)
@given(
    values=arrays(np.float32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(-1024, 3000)),
    seed=st.integers(0, 9),
    deviations=st.sampled_from([0.5, 3.0, 4.0]),
)
def test_suppression_equals_the_rule_voxel_by_voxel(values, seed, deviations):
    lung = np.random.default_rng(seed).uniform(size=values.shape) < 0.5
    lung.flat[0] = True
    out = suppress_non_lung(values, lung, deviations=deviations)
    cap = np.percentile(values, 95)
    inside = [min(float(v), cap) for v, is_lung in zip(values.flat, lung.flat, strict=True) if is_lung]
    mean, spread = np.mean(inside), np.std(inside)
    for new, old, is_lung in zip(out.flat, values.flat, lung.flat, strict=True):
        wanted = min(float(old), cap)
        if not is_lung:
            wanted = min(max(wanted, mean - deviations * spread), mean + deviations * spread)
        assert new == pytest.approx(wanted, abs=0.01)


def test_suppression_leaves_lung_and_tones_down_bone_whatever_the_unit():
    given_item = item()
    hu, lung = given_item["image"].numpy()[0], lungs() > 0
    out = suppress_non_lung(hu, lung)
    cap = np.percentile(hu, 95)
    assert np.array_equal(out[lung & (hu <= cap)], hu[lung & (hu <= cap)])
    assert out.max() <= cap < hu.max() and len(np.unique(out[~lung])) > 1
    np.testing.assert_allclose(suppress_non_lung(2 * hu + 100, lung), 2 * out + 100, rtol=1e-4, atol=0.5)
    assert np.array_equal(suppress_non_lung(hu.T, lung.T), out.T)


def test_masks_that_can_not_be_used_are_named():
    empty = {**item(), "lungs": MetaTensor(torch.zeros(1, 13, 22, 17), affine=torch.from_numpy(TURNED))}
    with pytest.raises(ImageError, match="holds no lung"):
        CropLungROId("image", "lungs")(empty)
    assert CropLungROId("image", "lungs", allow_empty=True)(empty)["image"].shape == (1, 13, 22, 17)
    with pytest.raises(ImageError, match="empty"):
        SuppressNonLungd("image", "lungs")(empty)
    elsewhere = {**item(), "lungs": item(UPRIGHT)["lungs"]}
    for transform in (CropLungROId("image", "lungs"), SuppressNonLungd("image", "lungs")):
        with pytest.raises(ImageError, match="another grid than image"):
            transform(elsewhere)
    with pytest.raises(ConfigError, match="margin_mm"):
        CropLungROId("image", "lungs", margin_mm=-1)
    with pytest.raises(ConfigError, match="percentile"):
        SuppressNonLungd("image", "lungs", percentile=0)
    with pytest.raises(ConfigError, match="Orientationd"):
        with_lung_roi([])


def test_before_the_chains_of_bundles_the_network_sees_the_box_and_masks_come_back_whole(tmp_path):
    volumes = item()
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in volumes}
    for name, volume in volumes.items():
        nib.save(nib.Nifti1Image(volume.numpy()[0], TURNED), files[name])
    case = {"image": files["image"], "lung_roi": [files["lungs"]], "tumor": [files["label"]], "slices": None}
    box = lung_roi_box(lungs() > 0, TURNED, 4.0)
    high = box[0][1] - box[0][0]

    seen = Compose(with_lung_roi(tumor_volume(["tumor"], "window", (-1000, 400), (16, 24)), margin_mm=4.0))(case)
    assert seen["image"].shape == seen["label"].shape == (1, 16, 24, high) and "lung_roi" not in seen

    chain = Compose(with_lung_roi(image_volume((-1000, 400), (16, 24)), margin_mm=4.0))
    seen = chain({key: case[key] for key in ("image", "lung_roi")})
    assert seen["image"].shape == (1, 16, 24, high)
    seen["pred"] = torch.ones_like(seen["image"])
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=False)(seen)["pred"]
    expected = np.zeros(lungs().shape, bool)
    expected[tuple(slice(*span) for span in box)] = True
    assert np.array_equal(back.numpy()[0] > 0.5, expected)
    np.testing.assert_allclose(back.affine.numpy(), TURNED, atol=1e-5)


def test_the_files_of_the_page_put_it_before_the_2d_u_net(tmp_path):
    """Both as they stand in docs/papers/wang-lung-roi.md, from a prepared folder to a mask on the image's own grid."""
    page = Path(__file__).parents[2] / "docs" / "papers" / "wang-lung-roi.md"
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    train, inference = (tmp_path / name for name in ("train.yaml", "inference.yaml"))
    train.write_text(blocks[0].replace(", 'lung_right'", ""))  # made patients have one ROI for all lung
    inference.write_text(blocks[1])
    prepared = make_tumor_prepared(tmp_path / "prepared")
    numbers = {"spatial_size": [16, 24], "dataset_dir": str(prepared), "labels": {"tumor": ["gtv"]}}

    configs = bundle_path("ct_lung_unet2d") / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / "train.yaml"), str(train)])
    parser.update({**numbers, "run_dir": None, "resume_file": None})
    slices = parser.get_parsed_content("train#dataset")
    assert len(slices) == 3 * 16  # margin and all: the lungs there fill the image
    assert slices[0, 0]["image"].shape == slices[0, 0]["label"].shape == (1, 16, 24)

    image = nib.load(prepared / "test1" / "image.nii.gz")
    mask = np.zeros(image.shape, np.uint8)
    mask[9:14, 6:11, 5:9] = 1
    (tmp_path / "lungs" / "test1").mkdir(parents=True)
    nib.save(nib.Nifti1Image(mask, image.affine), tmp_path / "lungs" / "test1" / "lungs.nii.gz")
    parser = ConfigParser()
    parser.read_config([str(configs / "inference.yaml"), str(inference)])
    case = {"image": str(prepared / "test1" / "image.nii.gz"), "case_id": "test1"}
    parser.update({"window_hu": [-1000, 400], "spatial_size": [16, 24], "threshold": 0.5, "keep_largest": 0})
    parser.update({"lungs": str(tmp_path / "lungs"), "cases": SimpleNamespace(items=lambda: [case])})
    seen = parser.get_parsed_content("dataset")[0]
    seen["pred"] = torch.full_like(seen["image"], 9.0)
    found = parser.get_parsed_content("postprocessing")(seen)["pred"]
    box = lung_roi_box(mask > 0, image.affine, 10.0)
    expected = np.zeros(image.shape, bool)
    expected[tuple(slice(*span) for span in box)] = True
    assert np.array_equal(found.numpy()[0] > 0, expected) and not expected.all()
