"""Made scenes as training data: the same whatever the worker, each once, padded, mirrored, kept on disk."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lungseg_monai import synthesis
from lungseg_monai.synthesis import Scene
from lungseg_monai.synthesis.dataset import AIR_HU, FixedScenes, SceneDataset, SceneSampler, mirrored, scaled, to_item


@pytest.fixture
def made(monkeypatch):
    """Scenes of an odd shape that hold (seed, index, difficulty), and the list of those that were made."""
    asked = []

    def stub(seed, index, options):
        asked.append(index)
        random = np.random.default_rng([seed, index])
        shape = tuple(random.integers(20, 70, 3))
        hu = random.integers(-1024, 600, shape).astype(np.int16)
        hu[0, 0, 0] = round(1000 * options.difficulty) - 1024
        return Scene(hu, random.integers(0, 3, shape).astype(np.uint8), options.spacing_mm, {})

    monkeypatch.setattr(synthesis, "make_scene", stub)
    return asked


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_an_item_is_the_scene_scaled_and_padded_with_air(made):
    item = SceneDataset(3, 5)[7]
    hu, lung = SceneDataset(3, 5).scene(7, 1)
    image, label = item["image"][0].numpy(), item["label"][0].numpy()
    assert all(size % 32 == 0 for size in image.shape) and image.dtype == np.float32 and label.dtype == np.uint8
    found = np.lib.stride_tricks.sliding_window_view(image, hu.shape)
    places = [place for place in np.argwhere(np.isclose(found[..., 0, 0, 0], scaled(hu)[0, 0, 0]))
              if np.array_equal(found[tuple(place)], scaled(hu))]  # fmt: skip
    assert len(places) == 1
    box = tuple(slice(low, low + size) for low, size in zip(places[0], hu.shape, strict=True))
    assert np.array_equal(label[box], lung) and label.sum() == lung.sum()
    outside = np.ones(image.shape, bool)
    outside[box] = False
    assert np.all(image[outside] == scaled(np.array(AIR_HU)))


def test_the_smallest_scene_leaves_two_voxels_at_the_bottom_of_the_network():
    raw = np.zeros((20, 32, 9), np.int16), np.zeros((20, 32, 9), np.uint8)
    assert sorted(to_item(raw, [0])["image"].shape) == [1, 32, 32, 64]


def test_workers_change_nothing_and_every_scene_comes_once(made):
    data = SceneDataset(1, 4, difficulty=(0.4, 2))
    alone = list(DataLoader(data, sampler=SceneSampler(data, 3), batch_size=None))
    helped = list(DataLoader(data, sampler=SceneSampler(data, 3), batch_size=None, num_workers=2))
    assert len(alone) == 12 and sorted(made) == list(range(12))
    assert all(equal(one, other) for one, other in zip(alone, helped, strict=True))


def test_a_resumed_sampler_goes_on_where_it_was():
    data = SceneDataset(1, 4)
    sampler = SceneSampler(data, 3)
    assert list(sampler) == list(range(12)) and len(sampler) == 4
    sampler.set_epoch(3)
    assert list(sampler) == [8, 9, 10, 11]


def test_scenes_get_harder_and_then_stay_hard():
    data = SceneDataset(0, 4, difficulty=(0.4, 3))
    assert [round(data.difficulty_in(epoch), 3) for epoch in range(5)] == [0.4, 0.6, 0.8, 1.0, 1.0]


def test_the_second_use_of_a_scene_is_mirrored(made):
    data = SceneDataset(1, 4, repeats=2)
    hu, lung = data.scene(2, 1)
    other = mirrored((hu, lung))
    assert np.array_equal(other[0], hu[::-1]) and np.array_equal(other[1][::-1] == 1, lung == 2)
    assert all(np.array_equal(a, b) for a, b in zip(mirrored(other), (hu, lung), strict=True))
    made.clear()
    first, second = data[4], data[6]
    assert made == [2, 2] and first["label"].sum() != 0
    assert (first["label"] == 1).sum() == (second["label"] == 2).sum()


def test_a_kept_scene_is_read_and_not_made_again(made, tmp_path):
    data = SceneDataset(1, 4, cache=tmp_path / "cache")
    first = data[2]
    made.clear()
    assert equal(data[2], first) and made == []
    assert not equal(SceneDataset(2, 4, cache=tmp_path / "cache")[2], first) and made == [2]


def test_scenes_to_validate_on_are_made_once(made):
    scenes = FixedScenes(SceneDataset(9, 3), 3)
    first = [scenes[number] for number in range(3)]
    assert made == [0, 1, 2] and all(equal(scenes[number], first[number]) for number in range(3)) and len(made) == 3
