"""Means over folds and changed images: what a single prediction is, what they cancel, and what they disagree on."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from PIL import Image
from torch import nn

from lungseg_monai.data import Case
from lungseg_monai.ensemble import CHANGES, MeanInferer, TakeSpreadd, in_plane
from lungseg_monai.errors import CheckpointError, ConfigError
from lungseg_monai.picture_prediction import write_picture
from lungseg_monai.training.members import Members, find_checkpoints, members_trained_with

LUNGS = {"lungs": ["lung_left", "lung_right"]}
SIDES = {"r": ["lung_right"], "l": ["lung_left"]}


def weights(path, weight, numbers):
    network = nn.Conv2d(1, 1, 1)
    nn.init.constant_(network.weight, weight)
    nn.init.constant_(network.bias, 0.0)
    path.parent.mkdir(parents=True)
    torch.save({"model": network.state_dict(), "numbers": numbers, "bundle": "b"}, path)
    return path


@pytest.fixture
def folds(tmp_path):
    return [
        weights(tmp_path / f"fold{k}" / "checkpoints" / "best.pt", w, {"fold": k, "width": 2})
        for k, w in enumerate((1.0, -2.0, 3.0))
    ]


def loaded(paths):
    members = Members(nn.Conv2d(1, 1, 1), paths)
    members.load()
    return members


def test_one_member_without_changes_is_the_inferer_itself(folds):
    members = loaded(folds[:1])
    x = torch.rand(1, 1, 6, 9)
    found = MeanInferer(SimpleInferer(), members, LUNGS)(x, members.network)
    assert torch.equal(found, members.network(x)) and len(members) == 1


def test_folds_are_averaged_as_probabilities_and_their_spread_is_the_deviation(folds):
    members = loaded(folds)
    x = MetaTensor(torch.randn(1, 1, 6, 9))
    mean = MeanInferer(SimpleInferer(), members, LUNGS, save_uncertainty=True)
    found = torch.sigmoid(mean(x, members.network)).as_tensor()
    each = torch.stack([torch.sigmoid(x.as_tensor() * w) for w in (1.0, -2.0, 3.0)])
    torch.testing.assert_close(found, each.mean(0))
    torch.testing.assert_close(mean.spread, each.std(0, correction=0))
    taken = TakeSpreadd(mean)({"pred": x[0]})["uncertainty"]
    assert taken.shape == (1, 6, 9) and isinstance(taken, MetaTensor)


@pytest.mark.parametrize(("activation", "channels"), [("sigmoid", 2), ("softmax", 3), ("none", 2)])
def test_a_flip_exchanges_the_sides_of_picture_and_answer(activation, channels):
    class Seen(nn.Module):
        """Right where the first rows are, left behind; whatever is shown."""

        def forward(self, x):
            out = torch.zeros(len(x), channels, *x.shape[2:])
            out[:, -2, : x.shape[2] // 2] = 0.75
            out[:, -1, x.shape[2] // 2 :] = 0.75
            return out

    members = Members(Seen(), [])
    x = torch.rand(1, 1, 8, 6, 3)
    mean = MeanInferer(SimpleInferer(), members, SIDES, activation, tta=["flip"])
    torch.testing.assert_close(activated(mean(x, members.network), activation), activated(Seen()(x), activation))
    assert float(mean.spread.max()) < 1e-6
    across = MeanInferer(SimpleInferer(), members, SIDES, activation, tta=["flip"], side_axis=1)
    across(x, members.network)
    assert float(across.spread.max()) > 0.05  # along another axis the sides would change places


def activated(answer, activation):
    return {"sigmoid": torch.sigmoid, "softmax": lambda a: torch.softmax(a, 1), "none": lambda a: a}[activation](answer)


def test_a_change_and_its_way_back_leave_a_smooth_picture_as_it_is():
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 64), indexing="ij")
    x = torch.exp(-6 * ((rows - 0.1) ** 2 + columns**2))[None, None, :, :, None].expand(1, 1, 40, 64, 2)
    identity = Members(nn.Identity(), [])
    for change in CHANGES:
        mean = MeanInferer(SimpleInferer(), identity, LUNGS, "none", tta=[change])
        torch.testing.assert_close(mean(x, identity.network), x, atol=0.02, rtol=0)


def test_in_plane_turns_pixels_not_shares_of_the_sides():
    x = torch.zeros(1, 1, 41, 81)
    x[0, 0, 20, 60] = 1  # twenty columns right of the middle
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    turned = in_plane(x, quarter)
    assert [int(v) for v in (turned[0, 0] == turned.max()).nonzero()[0]] == [40, 40]


def test_what_can_not_be_averaged_is_told(folds, tmp_path):
    members = loaded(folds[:1])
    with pytest.raises(ConfigError, match="needs several predictions"):
        MeanInferer(SimpleInferer(), members, LUNGS, save_uncertainty=True)
    with pytest.raises(ConfigError, match=r"flop.*flip, rotation, scale"):
        MeanInferer(SimpleInferer(), members, LUNGS, tta=["flop"])
    with pytest.raises(ConfigError, match="lung_right"):
        MeanInferer(SimpleInferer(), members, {"l": ["lung_left"]}, tta=["flip"])
    other = weights(tmp_path / "other" / "checkpoints" / "best.pt", 1.0, {"fold": 9, "width": 4})
    with pytest.raises(ConfigError, match=r"other.*width 4.*fold0.*2"):
        members_trained_with([folds[0], other], {"width": 8, "fold": None})
    torch.save({"model": nn.Conv2d(1, 3, 1).state_dict(), "numbers": {}}, other)
    with pytest.raises(CheckpointError, match="another network"):
        loaded([folds[0], other])


def test_the_numbers_of_folds_agree_but_for_the_fold(folds):
    default = {"width": 8, "fold": None, "window_hu": [-1, 1]}
    assert members_trained_with(folds, default) == {"width": 2, "fold": None, "window_hu": [-1, 1]}
    assert members_trained_with(folds[1:2], default)["fold"] == 1
    assert members_trained_with([], default) == default


def test_checkpoints_are_files_or_runs_one_or_many(folds, tmp_path):
    runs = [str(path.parents[1]) for path in folds]
    assert find_checkpoints(None, runs) == folds == find_checkpoints(tmp_path, [str(path) for path in folds])
    assert find_checkpoints(runs[0]) == folds[:1] == find_checkpoints(tmp_path, runs[0])
    assert find_checkpoints(tmp_path) == [] and find_checkpoints(tmp_path, shipped=folds[2]) == [folds[2]]
    for wrong in (tmp_path, [runs[0], tmp_path / "none.pt"]):
        with pytest.raises(CheckpointError):
            find_checkpoints(None, wrong)


def test_the_uncertainty_of_a_radiograph_lies_on_its_own_pixels(tmp_path):
    case = Case("film", "", tmp_path / "film.png", (12, 20))
    output = {"pred": torch.zeros(1, 12, 20), "flags": [], "uncertainty": torch.full((1, 6, 10), 0.25)}
    _, facts = write_picture(output, tmp_path / "film", ["lungs"], case)
    written = np.asarray(Image.open(tmp_path / facts["uncertainty"]))
    assert written.shape == (12, 20) and (written == round(0.25 * 65535)).all()
