"""The functions that Gao's paper names: voxels and their places, tensors as the bundle has them, scores, weights."""

import sys

import numpy as np
import pytest
import torch
from dicom_factory import Ct, write_ct

from lungseg_monai.errors import CheckpointError, DatasetError, UsageError
from lungseg_monai.networks import GaoUNet
from lungseg_monai.paper_gao import (
    dicom_to_numpy,
    evaluate_model,
    load_trained_model,
    main,
    npz_to_numpy,
    prepare_images_tensor,
    prepare_masks_tensor,
    save_trained_model,
)
from lungseg_monai.training.checkpoints import save_checkpoint

SHAPE = (20, 14, 7)  # columns, rows, slices


@pytest.mark.parametrize("axes", [np.eye(3), np.diag([-1.0, 1.0, -1.0])], ids=["head first", "feet first"])
def test_a_series_is_stacked_by_z_and_each_voxel_keeps_its_place(axes, tmp_path):
    ct = Ct(shape=SHAPE, axes=axes)
    write_ct(tmp_path, ct)
    volume, affine = dicom_to_numpy(tmp_path)
    assert volume.shape == (14, 20, 7) and affine[2, 2] > 0
    for row, column, k in ((0, 0, 0), (13, 0, 6), (3, 19, 2)):
        place_lps = (affine @ [row, column, k, 1])[:3] * (-1, -1, 1)
        i, j, n = np.rint(np.linalg.solve(ct.affine_lps, [*place_lps, 1])[:3]).astype(int)
        assert (i, j) == (column, row)
        assert volume[row, column, k] == ct.coded()[i, j, n] - 1024


def test_masks_lie_on_the_volume_and_a_bad_archive_says_why(tmp_path):
    mask = np.random.default_rng(0).random((14, 20, 7)) > 0.5
    for name, array in {"slices_last": mask, "slices_first": mask.transpose(2, 0, 1) * 255}.items():
        np.savez(tmp_path / "m.npz", **{name: array})
        found = npz_to_numpy(tmp_path / "m.npz", mask.shape)
        assert np.array_equal(found, mask) and found.dtype == np.uint8
    np.savez(
        tmp_path / "m.npz", lung_left=mask & (np.arange(7) > 3), lung_right=mask & (np.arange(7) <= 3), heart=~mask
    )
    assert np.array_equal(npz_to_numpy(tmp_path / "m.npz", mask.shape), mask)
    np.savez(tmp_path / "m.npz", masks=mask[:, :, :5])
    with pytest.raises(DatasetError, match=r"m\.npz, masks: .*fewer masks than slices"):
        npz_to_numpy(tmp_path / "m.npz", mask.shape)


def test_no_series_or_two_are_refused(tmp_path):
    for n in (1, 2):
        write_ct(tmp_path / str(n), Ct(series=str(n)))
    with pytest.raises(DatasetError, match="2 CT series"):
        dicom_to_numpy(tmp_path)


def test_tensors_are_those_of_the_bundles_chain(tmp_path):
    """The same slices, turned, windowed and resized, as training sees them of a head-first supine patient."""
    from monai.transforms import Compose

    from data_prep.convert import convert
    from lungseg_monai.transforms.chains import image_volume

    ct = Ct(shape=SHAPE)
    write_ct(tmp_path / "ct", ct, stored=np.random.default_rng(1).integers(0, 2000, SHAPE))
    convert(tmp_path / "ct", tmp_path / "out")
    wanted = Compose(image_volume((-1000, 400), (16, 32)))({"image": str(tmp_path / "out" / "P1" / "image.nii.gz")})
    volume, _ = dicom_to_numpy(tmp_path / "ct")
    found = prepare_images_tensor([volume, volume], (16, 32))
    assert found.shape == (14, 1, 16, 32) and found.dtype == torch.float32
    assert torch.allclose(found[:7, 0], wanted["image"].as_tensor()[0].permute(2, 0, 1), atol=1e-5)
    as_it_is = prepare_images_tensor([volume], (20, 14), window_hu=None)
    assert np.array_equal(as_it_is[3, 0].numpy(), volume[:, :, 3].T)
    masks = prepare_masks_tensor([(volume > 0).astype(np.uint8)], (20, 14))
    assert np.array_equal(masks[:, 0].numpy(), (volume > 0).T) and set(masks.unique().tolist()) == {0.0, 1.0}


class Bright(torch.nn.Module):
    """Marks what is bright."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, image):
        assert not self.training and image.shape[0] == 1
        return (image - self.bias) * 100


def test_scores_are_those_of_the_formula_and_blank_slices_stand_apart():
    images, masks = torch.zeros(4, 1, 8, 6), torch.zeros(4, 1, 8, 6)
    images[0, :, :4] = masks[0, :, 2:6] = 1  # half of each meets the other
    images[1, :, :2] = masks[1, :, :2] = 1
    images[2, :, :1] = 1  # marked where there is nothing
    found = evaluate_model(Bright().train(), images, masks)
    assert found.dice == [0.5, 1.0, 0.0, 1.0] and found.with_label == [True, True, False, False]
    assert found.accuracy == [pytest.approx(0.5), 1.0, pytest.approx(7 / 8), 1.0]
    assert found.mean_dice == 0.75 and torch.equal(found.predictions, (images > 0.5).to(torch.uint8))
    assert evaluate_model(Bright(), images, masks, empty="skip").dice[3] is None
    assert evaluate_model(Bright(), images[2:], masks[2:]).mean_dice is None
    with pytest.raises(UsageError, match="wanted the same"):
        evaluate_model(Bright(), images, masks[:2])


@pytest.mark.parametrize("norm", [True, False])
def test_trained_model_is_bare_weights_that_load_again(norm, tmp_path):
    torch.manual_seed(0)
    network = GaoUNet(width=2, norm=norm).eval()
    content = {"model": network.state_dict(), "numbers": {"width": 2}, "bundle": "ct_lung_unet2d"}
    save_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt", content)
    path = save_trained_model(tmp_path / "run", tmp_path / "trained_model.pt")
    weights = torch.load(path, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    image = torch.rand(1, 1, 16, 32)
    assert torch.equal(load_trained_model(path)(image), network(image))


def test_other_files_are_no_trained_model(tmp_path, monkeypatch, capsys):
    (tmp_path / "trained_model.pt").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="can't be read"):
        load_trained_model(tmp_path / "trained_model.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "trained_model.pt")
    with pytest.raises(CheckpointError, match="no weights of Gao's U-Net"):
        load_trained_model(tmp_path / "trained_model.pt")
    monkeypatch.setattr(sys, "argv", ["paper_gao", str(tmp_path / "none")])
    assert main() == 3 and "there is no checkpoint" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["paper_gao", "--help"])
    assert main() == 2
