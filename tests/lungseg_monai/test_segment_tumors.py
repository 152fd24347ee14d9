import json
import subprocess
import sys
import time
from itertools import permutations, product
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from segment_factory import write_chest, write_chest_nifti
from tumor_bundle import SIZE, BrightNetwork, chest_with_tumors, tumor_model, use_bright, write_tumor_bundle

from data_prep.nifti import write_nifti
from lungseg_monai.errors import ImageError, ModelError, UsageError
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.tumor_flags import confidence_of, tumor_flags
from lungseg_monai.segment.tumor_grid import network_volume, upright

LPS = np.diag([-4.0, -5.0, 6.0, 1.0])  # affine_ras of axes L, P, S
IN_LUNG = np.s_[5:8, 6:9, 2:5]
AT_WALL = np.s_[1:3, 5:8, 3:5]
FAR = np.s_[16:19, 1:3, 10:12]


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> BrightNetwork:
    return use_bright(monkeypatch)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tumor_bundle(tmp_path / "bundles")


def codes(flags: tuple) -> set[str]:
    return {flag.code for flag in flags}


@pytest.mark.parametrize("intensity", ["window", "stretch"])
@pytest.mark.parametrize("way", [(0, (1, 1, 1)), (2, (-1, 1, -1)), (5, (1, -1, -1))])
def test_the_network_sees_what_the_training_chain_shows_it(
    tmp_path: Path, intensity: str, way: tuple[int, tuple[int, ...]]
) -> None:
    from monai.transforms import Compose

    from lungseg_monai.transforms.tumor_chains import tumor_image

    order = list(permutations(range(3)))[way[0]]
    rotation = np.zeros((3, 3))
    for axis, (to, sign) in enumerate(zip(order, way[1], strict=True)):
        rotation[to, axis] = sign * (0.9, 1.3, 3.1)[axis]
    rotation = np.array([[1, 0.02, 0], [-0.02, 1, 0.03], [0, -0.03, 1]]) @ rotation  # a little oblique
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation, (-31.0, 22.0, 5.0)
    hu = np.random.default_rng(1).integers(-1024, 900, (21, 26, 18)).astype(np.int16)
    write_nifti(tmp_path / "image.nii.gz", hu, affine)
    shape = (32, 24)
    chain = Compose(tumor_image(intensity, (-1000, 400), shape))({"image": str(tmp_path / "image.nii.gz")})["image"]
    ours = network_volume(upright(Image(hu, affine)).array, intensity, (-1000, 400), shape)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, chain[0].numpy(), atol=1e-5 if intensity == "window" else 1.01 / 255)
    assert np.mean(np.abs(ours - chain[0].numpy()) > 1e-5) < 5e-3  # a rounding to 8 bits may go the other way


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_tumor_is_found_where_it_is_whatever_way_the_image_lies(
    bundle: Path, bright: BrightNetwork, order: tuple[int, int, int]
) -> None:
    model = tumor_model(bundle)
    hu = chest_with_tumors(IN_LUNG)
    upright_mask = model.segment(Image(hu, LPS)).labels_ijk
    assert upright_mask[6, 7, 3] == 1
    for signs in product((1, -1), repeat=3):
        flip = tuple(slice(None, None, sign) for sign in signs)
        affine = np.eye(4)
        for axis, (source, sign) in enumerate(zip(order, signs, strict=True)):
            affine[:3, axis] = LPS[:3, source] * sign
            affine[:3, 3] += 0 if sign > 0 else LPS[:3, source] * (hu.shape[source] - 1)
        found = model.segment(Image(hu.transpose(order)[flip], affine)).labels_ijk
        np.testing.assert_array_equal(found, upright_mask.transpose(order)[flip])


def test_rules_probabilities_and_measures_of_confidence(bundle: Path, bright: BrightNetwork) -> None:
    image = Image(chest_with_tumors(IN_LUNG), LPS)
    found = tumor_model(bundle).segment(image, probabilities=True)
    assert found.names == {1: "gtv"}
    assert found.probability is not None
    assert found.probability.shape == (1, *image.array_ijk.shape)
    assert found.probability.dtype == np.float16
    assert 0.9 < found.confidence["gtv"] <= 1
    assert found.labels_ijk.dtype == np.uint8
    wider = tumor_model(bundle, kernel="disk", radius_mm=8.0).segment(image)
    assert wider.labels_ijk.sum() > found.labels_ijk.sum()
    assert not (found.labels_ijk & ~wider.labels_ijk).any()
    both = tumor_model(bundle, grid="image").segment(image).labels_ijk
    np.testing.assert_array_equal(both, (found.probability[0] > 0.7).astype(np.uint8))
    assert not tumor_model(bundle, least_mm3=1e6).segment(image).labels_ijk.any()


def test_within_the_lungs_only_what_lies_near_them_counts_and_only_that_is_looked_at(
    bundle: Path, bright: BrightNetwork
) -> None:
    image = Image(chest_with_tumors(IN_LUNG, AT_WALL, FAR), LPS)
    everywhere = tumor_model(bundle).segment(image)
    assert everywhere.labels_ijk[FAR].any()
    whole = sum(np.prod(shape) for shape in bright.seen)
    bright.seen.clear()
    found = tumor_model(bundle, within="lungs", margin_mm=5.0).segment(image)
    assert sum(np.prod(shape) for shape in bright.seen) < whole
    assert found.labels_ijk[6, 7, 3] == 1
    assert found.labels_ijk[1, 6, 4] == 1  # at the wall, outside of the lungs, two voxels beside them
    assert not found.labels_ijk[FAR].any()
    assert set(found.beside) == {"lungs"}
    assert found.beside["lungs"].labels_ijk.max() == 2
    assert {"gtv", "lung_right", "lung_left"} == set(found.confidence)
    at_wall = tumor_model(bundle, within="lungs", within_mm=0.0).segment(image)
    assert not at_wall.labels_ijk[AT_WALL].any()


def test_without_lungs_the_tumor_is_looked_for_everywhere_and_that_is_said(
    bundle: Path, bright: BrightNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from segment_factory import FakeModel

    model = tumor_model(bundle, within="lungs")
    lungless = FakeModel()
    segment = lungless.segment

    def none(image: Image, **options: bool) -> object:
        found = segment(image)
        return replace(found, labels_ijk=np.zeros_like(found.labels_ijk))

    monkeypatch.setattr(lungless, "segment", none, raising=False)
    model.lungs = lungless
    found = model.segment(Image(chest_with_tumors(FAR), LPS))
    assert found.labels_ijk[FAR].any()
    assert "searched_everywhere" in codes(found.flags)
    assert not found.beside["lungs"].labels_ijk.any()


def test_what_is_odd_is_flagged(bundle: Path, bright: BrightNetwork) -> None:
    model = tumor_model(bundle)
    assert "no_tumor" in codes(model.segment(Image(chest_with_tumors(), LPS)).flags)
    assert model.segment(Image(chest_with_tumors(), LPS)).confidence == {}
    mask = np.zeros((6, 7, 8), bool)
    mask[2:4, 3:5, 6:] = True
    (flag,) = tumor_flags(mask)
    assert flag.code == "cut_at_edge"
    assert "(top)" in flag.what
    mask[0, 3, 2] = True
    assert "right, top" in tumor_flags(mask)[0].what
    inside = np.zeros_like(mask)
    inside[2:4, 3:5, 4:6] = True
    assert codes(tumor_flags(inside, inside)) == set()
    assert codes(tumor_flags(inside, np.zeros_like(inside))) == {"outside_lungs"}
    assert codes(tumor_flags(inside, ~inside)) == set()  # what is left of the lung leaves it out


def test_confidence_is_the_dice_that_the_probabilities_promise() -> None:
    probability = np.zeros((4, 4, 4), np.float32)
    probability[0, 0, :4] = 0.9, 0.8, 0.5, 0.05
    # above 0.7: 2 voxels, of which 1.7 should be tumour; 2.2 should be in all
    assert confidence_of(probability, 0.7)["gtv"] == pytest.approx(2 * 1.7 / (2 + 2.2))
    assert confidence_of(probability, 0.95) == {}


def test_weights_that_have_seen_phantoms_alone_are_refused_for_patients(tmp_path: Path, bright: BrightNetwork) -> None:
    bundle = write_tumor_bundle(tmp_path, "ct_tumor_made", phantom_only=True)
    patient, phantom = (Image(chest_with_tumors(IN_LUNG), LPS, phantom=one) for one in (False, True))
    with pytest.raises(ImageError, match=r"trained on phantoms alone.*configs/train.yaml.*--allow-phantom-weights"):
        tumor_model(bundle).segment(patient)
    assert not bright.seen
    told = [flag for flag in tumor_model(bundle).segment(phantom).flags if flag.code == "phantom_weights"]
    assert [flag.severity for flag in told] == ["note"]
    allowed = tumor_model(bundle, allow_phantom_weights=True).segment(patient)
    assert [flag.severity for flag in allowed.flags if flag.code == "phantom_weights"] == ["alarm"]


def test_missing_weights_and_wrong_options_are_named(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(ModelError, match="has no weights"):
        tumor_model(bundle)
    with pytest.raises(ModelError, match=r"holds no weights: wanted a run's folder"):
        tumor_model(bundle, weights=tmp_path)
    for wrong, message in (
        ({"vessels": "out"}, "no option vessels"),
        ({"stride": 5}, "stride 5 would leave out slices between windows of 4"),
        ({"within": "heart"}, "within 'heart' is not known"),
        ({"threshold": 70}, "threshold is 70"),
        ({"rules_name": "mine"}, "rules 'mine' are not known"),
        ({"spatial_size": (40,)}, "spatial_size must be two whole numbers"),
        ({"window_hu": (400, -1000)}, "the lower one first"),
        ({"margin_mm": -1}, "margin_mm must be"),
        ({"memory_gb": 0}, "memory_gb must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ):
        with pytest.raises(UsageError, match=message):
            tumor_model(bundle, **wrong)


def test_tuned_rules_count_before_the_bundles_and_options_before_all(bundle: Path, bright: BrightNetwork) -> None:
    from lungseg_monai.postprocessing import TumorRules
    from lungseg_monai.tuned import write_tuned

    assert tumor_model(bundle).rules == TumorRules(kernel="none")
    write_tuned(bundle / "models", TumorRules(threshold=0.4, radius=2), {"section": "validation"})
    assert tumor_model(bundle).rules == TumorRules(threshold=0.4, radius=2)
    assert tumor_model(bundle, threshold=0.6).rules == TumorRules(threshold=0.6, radius=2)
    assert tumor_model(bundle, rules_name="paper").rules == TumorRules()
    assert tumor_model(bundle, within="lungs").rules.within_mm == 15.0
    (bundle / "models" / "postprocessing.json").write_text('{"rules": {"treshold": 1}}')
    with pytest.raises(UsageError, match=r"treshold not known.*run lungseg tune again"):
        tumor_model(bundle)


def test_a_runs_own_weights_say_what_they_were_trained_on(bundle: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lungseg_monai.networks.tumor import tumor_network
    from lungseg_monai.training.checkpoints import save_checkpoint

    torch.manual_seed(0)
    network = tumor_network("unet3d", width=2).eval()
    numbers = {"network_name": "unet3d", "width": 2, "slices": 8, "spatial_size": [16, 24], "window_hu": [-900, 300]}
    save_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt", {"model": network.state_dict(), "numbers": numbers})
    model = tumor_model(bundle, weights=tmp_path / "run", stride=8, precision="float32")
    image = Image(chest_with_tumors(shape=(20, 14, 8)), LPS)
    found = model.segment(image, probabilities=True)
    volume = network_volume(image.array_ijk, "window", (-900, 300), (16, 24))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(volume)[None, None]).sigmoid()[0, 0].numpy()
    from lungseg_monai.inplane import resize_linear

    assert found.probability is not None
    np.testing.assert_allclose(found.probability[0], resize_linear(wanted, (20, 14)), atol=2e-3)
    save_checkpoint(tmp_path / "other.pt", {"model": network.state_dict(), "numbers": {**numbers, "width": 3}})
    with pytest.raises(ModelError, match="another network"):
        tumor_model(bundle, weights=tmp_path / "other.pt")


def test_a_network_that_halves_four_times_gets_sides_that_it_takes(bundle: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lungseg_monai.networks.tumor import tumor_network
    from lungseg_monai.training.checkpoints import save_checkpoint

    torch.manual_seed(0)
    network = tumor_network("unet2d", width=2)
    numbers = {"network_name": "unet2d", "width": 2, "slices": 8, "spatial_size": [40, 24], "window_hu": [-900, 300]}
    save_checkpoint(tmp_path / "best.pt", {"model": network.state_dict(), "numbers": numbers})
    model = tumor_model(bundle, weights=tmp_path / "best.pt", stride=8)
    assert model.segment(Image(chest_with_tumors(), LPS)).labels_ijk.shape == (20, 14, 12)


class Greedy(BrightNetwork):
    """Takes 2 kB a voxel of its windows while it runs."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with mmap(-1, 2000 * x.size) as held:
            np.frombuffer(held, np.uint8)[:] = 1
            time.sleep(0.02)
        return super().__call__(x)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
def test_memory_that_is_allowed_is_kept_to(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = Greedy()  # 10 MB a window
    monkeypatch.setattr("lungseg_monai.segment.tumors.open_backend", lambda *given: greedy)
    image = Image(chest_with_tumors(IN_LUNG), LPS)
    found = tumor_model(bundle, memory_gb=0.035).segment(image)
    assert found.labels_ijk[6, 7, 3] == 1
    assert max(shape[0] for shape in greedy.seen) < 8
    assert any("memory_gb" in flag.what for flag in found.flags if flag.code == "backend")
    with pytest.raises(ImageError, match=r"memory_gb allows 0.005.*lungs' box"):
        tumor_model(bundle, memory_gb=0.005).segment(image)
    monkeypatch.setattr("lungseg_monai.segment.tumors.room_bytes", lambda: 2**30 // 200)  # of --max-ram
    with pytest.raises(ImageError, match=r"memory_gb allows 0\.0045"):
        tumor_model(bundle).segment(image)


def test_a_cohort_gets_both_masks_and_one_case_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright: BrightNetwork
) -> None:
    import lungseg_monai.bundle
    from lungseg_monai.segment.outputs import OutputOptions
    from lungseg_monai.segment.run import segment
    from lungseg_monai.segment.worker import Settings

    write_tumor_bundle(tmp_path / "bundles")
    monkeypatch.setattr(lungseg_monai.bundle, "CHECKOUT", tmp_path / "bundles")
    write_chest_nifti(tmp_path / "in" / "one.nii.gz", LPS, chest_with_tumors(IN_LUNG, AT_WALL))
    write_chest_nifti(tmp_path / "in" / "two.nii.gz", LPS, chest_with_tumors())
    settings = Settings("ct_tumor_bright", options={"within": "lungs"}, outputs=OutputOptions(probabilities=True))
    result = segment([tmp_path / "in"], tmp_path / "out", settings)
    assert result.exit_code == 0
    case = json.loads((tmp_path / "out" / "one" / "case.json").read_text())
    assert case["outputs"] == {
        "nifti": "tumor.nii.gz",
        "probability": "probability.nii.gz",
        "lungs_nifti": "lungs.nii.gz",
    }
    assert case["masks"] == {"tumor": {"1": "gtv"}, "lungs": {"1": "lung_right", "2": "lung_left"}}
    assert set(case["volumes_ml"]) == set(case["hu"]) == {"gtv", "lung_right", "lung_left"}
    import nibabel as nib

    voxels = int(np.asarray(nib.load(tmp_path / "out" / "one" / "tumor.nii.gz").dataobj).sum())
    assert case["volumes_ml"]["gtv"] == pytest.approx(voxels * 4 * 5 * 6 / 1000)
    assert voxels > 0
    for name in ("tumor.nii.gz", "lungs.nii.gz", "preview/tumor.nii.gz", "preview/lungs.nii.gz", "preview/ct.nii.gz"):
        assert (tmp_path / "out" / "one" / name).is_file()
        assert name in case["hashes"]["outputs"]
    empty = json.loads((tmp_path / "out" / "two" / "case.json").read_text())
    assert "no_tumor" in {flag["code"] for flag in empty["flags"]}
    again = segment([tmp_path / "in"], tmp_path / "out", settings)
    assert again.names("reused") == ["one", "two"]
    other = Settings("ct_tumor_bright", options={"within": "lungs", "threshold": 0.6}, outputs=settings.outputs)
    assert segment([tmp_path / "in"], tmp_path / "out", other).names("done") == ["one", "two"]


def test_dicom_gets_contours_of_the_tumor_and_of_the_lungs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright: BrightNetwork
) -> None:
    import lungseg_monai.bundle
    from lungseg_monai.segment.outputs import OutputOptions
    from lungseg_monai.segment.run import segment
    from lungseg_monai.segment.worker import Settings

    write_tumor_bundle(tmp_path / "bundles")
    monkeypatch.setattr(lungseg_monai.bundle, "CHECKOUT", tmp_path / "bundles")
    monkeypatch.setattr("segment_factory.chest_hu", lambda: chest_with_tumors(IN_LUNG, shape=(20, 14, 7)))
    write_chest(tmp_path / "in")
    outputs = OutputOptions(("nifti", "rtstruct", "seg"))
    settings = Settings("ct_tumor_bright", options={"within": "lungs"}, outputs=outputs)
    result = segment([tmp_path / "in"], tmp_path / "out", settings)
    assert result.exit_code == 0, result.problems()
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/case.json"))
    from pydicom import dcmread

    names = [one.ROIName for one in dcmread(folder / "tumor_rtstruct.dcm").StructureSetROISequence]
    assert names == ["GTV"]
    names = [one.ROIName for one in dcmread(folder / "lungs_rtstruct.dcm").StructureSetROISequence]
    assert names == ["Lung_R", "Lung_L"]
    assert (folder / "tumor_seg.dcm").is_file()
    monkeypatch.setattr("segment_factory.chest_hu", lambda: chest_with_tumors(shape=(20, 14, 7)))
    write_chest(tmp_path / "none")
    segment([tmp_path / "none"], tmp_path / "out2", settings)
    (path,) = (tmp_path / "out2").glob("*/case.json")
    refused = json.loads(path.read_text())["outputs_refused"]
    assert refused["rtstruct"] == "no tumour was found: a file without regions is not written"
    assert set(refused) == {"rtstruct", "seg"}


def test_neither_torch_nor_monai_is_imported_without_need(tmp_path: Path) -> None:
    bundle = write_tumor_bundle(tmp_path)
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from pathlib import Path
from tumor_bundle import BrightNetwork, chest_with_tumors, tumor_model
import lungseg_monai.segment.tumors as tumors
tumors.open_backend = lambda *given: BrightNetwork()
image = tumors.Image(chest_with_tumors(np.s_[5:8, 6:9, 2:5]), np.diag([-4.0, -5.0, 6.0, 1.0]))
assert tumor_model(Path({str(bundle)!r})).segment(image).labels_ijk.any()
heavy = [name for name in ("torch", "monai", "skimage", "SimpleITK") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_network_gets_windows_of_its_own_size(bundle: Path, bright: BrightNetwork) -> None:
    tumor_model(bundle, stride=4, batch_size=1).segment(Image(chest_with_tumors(IN_LUNG), LPS))
    assert bright.seen == [(1, 1, *SIZE, 4)] * 3
    bright.seen.clear()
    tumor_model(bundle, stride=4).segment(Image(chest_with_tumors(IN_LUNG), LPS))  # windows are small: all at once
    assert bright.seen == [(3, 1, *SIZE, 4)]
    bright.seen.clear()
    tumor_model(bundle).segment(Image(chest_with_tumors(IN_LUNG, shape=(20, 14, 7))[:, :, :3], LPS))  # fewer than 4
    assert bright.seen == [(1, 1, *SIZE, 4)]
