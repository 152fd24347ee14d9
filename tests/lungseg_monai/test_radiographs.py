"""Chains of radiographs and the dataset in memory: aligned, seeded, the same for any number of workers."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose
from PIL import Image

from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.pictures.steps import prepare
from lungseg_monai.radiographs import RadiographDataset, RadiographSampler
from lungseg_monai.transforms.flip_lungs import exchange, flip_lungs
from lungseg_monai.transforms.frames import covered, squeezed
from lungseg_monai.transforms.opacities import opacities
from lungseg_monai.transforms.picture_steps import PictureStep, PictureStepd
from lungseg_monai.transforms.radiograph_chains import (
    AUGMENTATIONS,
    STRONG,
    labelled_radiograph,
    radiograph_augmentation,
    radiograph_finish,
    radiograph_image,
)

SIZE = (48, 40)
GEOMETRY = ("affine", "borders", "cropping", "elastic", "flip")


def boxes(shape=(90, 110)):
    """A film of two dark boxes on bright ground, not in the middle, and their masks."""
    right, left = np.zeros(shape, bool), np.zeros(shape, bool)
    right[20:70, 15:45], left[25:65, 60:95] = True, True
    film = np.where(right | left, 0.25, 0.75) + 0.05 * np.sin(np.arange(shape[1]) / 5)
    return film, right, left


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    made = []
    for number, (kind, most) in enumerate([(np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095)]):
        folder = tmp_path_factory.mktemp(f"case{number}")
        film, right, left = boxes((90 + 10 * number, 110))
        Image.fromarray(np.round(film * most).astype(kind)).save(folder / "image.png")
        item = {"image": str(folder / "image.png"), "case_id": f"X{number}"}
        for name, mask in (("lung_right", right), ("lung_left", left)):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")
            item[name] = [str(folder / f"{name}.png")]
        made.append(item)
    return made


def chain(steps="recommended"):
    return Compose(labelled_radiograph(["lung_right", "lung_left"], steps, SIZE))


def augmentation(**probabilities):
    return Compose(radiograph_augmentation(True, probabilities, SIZE, ("lung_right", "lung_left")))


@pytest.fixture(scope="module")
def dataset(items):
    finish = Compose(radiograph_finish("recommended", SIZE))
    return RadiographDataset(items, chain(), augmentation(**STRONG), finish, seed=3)


@pytest.mark.parametrize("setting", ["paper", "recommended"])
def test_unchanged_training_pictures_are_those_of_prediction(items, setting):
    finish = Compose(radiograph_finish(setting, SIZE))
    plain = RadiographDataset(items, chain(setting), finish=finish)
    for number, item in enumerate(items):
        with Image.open(item["image"]) as stored:
            expected = prepare(np.asarray(stored), setting, SIZE)
        predicted = Compose(radiograph_image(setting, SIZE))({"image": item["image"]})
        assert np.array_equal(predicted["image"][0], expected)
        assert predicted["shape_hw"] == [90 + 10 * number, 110]
        assert np.allclose(plain[number]["image"][0], expected, atol=1e-3)
        assert plain[number]["label"].shape == (2, *SIZE) and plain[number]["case_id"] == item["case_id"]


def test_labels_are_resized_onto_the_picture(items):
    one = RadiographDataset(items, chain())[0]
    dark = one["image"][0] < 0.5
    assert (dark == one["label"].amax(dim=0).bool()).float().mean() > 0.97
    rows, columns = one["label"][1].nonzero(as_tuple=True)
    assert columns.float().mean() == pytest.approx((60 + 94) / 2 / 110 * SIZE[1], abs=0.6)
    assert rows.float().mean() == pytest.approx((25 + 64) / 2 / 90 * SIZE[0], abs=0.6)


def epoch(dataset, number, workers=0):
    sampler = RadiographSampler(dataset, seed=3)
    sampler.set_epoch(number)
    batches = list(DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers))
    return torch.cat([b["image"] for b in batches]), torch.cat([b["label"] for b in batches])


def test_workers_change_nothing_and_epochs_do(dataset):
    alone, helped, other = epoch(dataset, 1), epoch(dataset, 1, workers=2), epoch(dataset, 2)
    assert torch.equal(alone[0], helped[0]) and torch.equal(alone[1], helped[1])
    assert not torch.equal(alone[0].sort(dim=0).values, other[0].sort(dim=0).values)
    assert sorted(index for _, index in RadiographSampler(dataset)) == [0, 1, 2]
    assert list(RadiographSampler(dataset, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


def test_damaged_pictures_cost_only_themselves_and_memory_is_bounded(items, tmp_path):
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    broken = {**items[0], "image": str(tmp_path / "image.png")}
    swapped = {**items[1], "lung_left": items[0]["lung_left"]}
    dataset = RadiographDataset([broken, swapped, items[2]], chain())
    assert len(dataset) == 1 and [entry["case_id"] for entry in dataset.refused] == ["X0", "X1"]
    assert "can't be read" in dataset.refused[0]["reason"] and "[100, 110]" in dataset.refused[1]["reason"]
    with pytest.raises(DatasetError, match="no radiograph could be loaded"):
        RadiographDataset([broken], chain())
    with pytest.raises(ConfigError, match="cache_gb allows"):
        RadiographDataset(items, chain(), cache_gb=1e-6)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_keeps_image_and_label_on_one_another(name):
    film, right, left = boxes((96, 80))
    item = {
        "image": torch.tensor(film[None], dtype=torch.float32),
        "label": torch.tensor(np.stack([right, left]), dtype=torch.float32),
    }
    before = {key: value.clone() for key, value in item.items()}
    changes = Compose(radiograph_augmentation(True, {name: 1.0}, (96, 80), ("lung_right", "lung_left")))
    changed = 0
    for seed in range(8):
        changes.set_random_state(seed=seed)
        out = changes(item)
        image, label = out["image"], out["label"]
        assert image.shape == (1, 96, 80) and label.shape == (2, 96, 80)
        assert image.min() >= 0 and image.max() <= 1 and set(label.unique().tolist()) <= {0, 1}
        assert all(torch.equal(item[key], before[key]) for key in item)
        changed += not torch.equal(torch.as_tensor(image), before["image"])
        if name not in GEOMETRY:
            assert torch.equal(torch.as_tensor(label), before["label"])
            continue
        dark = (image[0] > 0.05) & (image[0] < 0.5)  # neither lung nor what is black outside
        lungs = label.amax(dim=0) > 0
        bright = image[0] > 0.6
        assert (dark & lungs).sum() > 0.9 * lungs.sum() or name == "borders"
        assert not (bright & lungs).sum() > 0.05 * lungs.sum()
    assert changed >= 6


def test_probability_nought_changes_nothing_and_names_are_checked():
    assert not radiograph_augmentation(False, STRONG, SIZE)
    assert not radiograph_augmentation(True, {"flip": 0}, SIZE)
    assert set(STRONG) == set(AUGMENTATIONS)
    for wrong in ({"rotation": 0.5}, {"flip": 1.5}, {"flip": True}):
        with pytest.raises(ConfigError, match="augmentation"):
            radiograph_augmentation(True, wrong, SIZE)


def test_flipping_exchanges_the_sides_where_they_are_told_apart():
    assert exchange(["lung_right", "lung_left"]) == [1, 0]
    assert exchange(["lungs", "lung_left", "heart", "lung_right"]) == [0, 3, 2, 1]
    assert exchange(["lungs", "lung_left"]) == [0, 1]
    image, label = torch.rand(1, 3, 4), torch.rand(2, 3, 4)
    once = flip_lungs(image, label, [1, 0])
    assert torch.equal(once[1][0], label[1].flip(-1))
    twice = flip_lungs(*once, [1, 0])
    assert torch.equal(twice[0], image) and torch.equal(twice[1], label)


def test_frames_cover_or_squeeze():
    film, right, left = boxes((96, 80))
    picture, label = film.astype(np.float32), np.stack([right, left]).astype(np.float32)
    out, cut = covered(picture, label, (30, 0, 0, 8), 1.0)
    assert (out[:30] == 1).all() and (out[:, 72:] == 1).all() and np.array_equal(out[30:, :72], picture[30:, :72])
    assert not cut[:, :30].any() and np.array_equal(cut[:, 30:, :72], label[:, 30:, :72])
    out, moved = squeezed(picture, label, (16, 16, 10, 30), 0.0)
    assert moved.sum() == pytest.approx(label.sum() * (64 / 96) * (40 / 80), rel=0.1)
    assert not out[:16].any() and not moved[:, :, 50:].any()


def test_opacities_whiten_lungs_alone():
    film, right, left = boxes((96, 80))
    picture, label = film.astype(np.float32), np.stack([right, left]).astype(np.float32)
    whitened = 0.0
    for seed in range(10):
        out, same = opacities(picture, label, np.random.RandomState(seed))
        assert same is label and (out >= picture - 1e-6).all()
        far = np.ones((96, 80), bool)
        far[15:75, 10:], far[:, :10] = False, True
        assert np.allclose(out[far], picture[far], atol=1e-3)
        whitened += float((out - picture)[right | left].mean())
    assert whitened / 10 > 0.03


def test_steps_as_transforms_of_channels():
    picture = torch.rand(2, 20, 30)
    out = PictureStepd(["image"], "clahe", clip_limit=3.0, tiles=[2, 2])({"image": picture})["image"]
    assert out.shape == (2, 20, 30) and torch.equal(
        out[1:], PictureStep("clahe", clip_limit=3.0, tiles=[2, 2])(picture[1:])
    )
    assert PictureStep("grey")(torch.rand(3, 4, 5)).shape == (1, 4, 5)
    with pytest.raises(ConfigError, match="no step"):
        PictureStep("sharpen")
