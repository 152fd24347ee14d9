"""The cache on disk: what is found again, what is made anew, and what its 16 bits lose."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from tumor_items import make_item

from lungseg_monai import volume_cache
from lungseg_monai.errors import ConfigError
from lungseg_monai.patches import PatchDataset
from lungseg_monai.transforms.tumor_chains import tumor_volume
from lungseg_monai.volume_cache import LOWEST, STEPS, Anew, VolumeKeeper, make_volume, place_on_disk


def chain(intensity="window", window_hu=(-1000, 400), size=(24, 16)):
    return Compose(tumor_volume(["tumor"], intensity, window_hu, size))


@pytest.fixture
def item(tmp_path):
    return make_item(tmp_path, "A", [3, 4, 9])


def test_values_of_eight_bits_come_back_exactly_and_others_to_half_a_step():
    steps = torch.arange(256) / 255
    other = torch.rand(1, 16, 16, 5)
    for image, error in ((steps.reshape(1, 16, 16, 1), 0), (other, 0.51 / STEPS)):
        volume = make_volume({}, lambda item, image=image: {"image": image, "label": image > 0.5})
        assert volume.images.dtype == torch.int16 and volume.images.min() >= LOWEST
        read, label = volume.read(0, image.shape[-1])
        assert (read - image).abs().max() <= error
        assert torch.equal(label, (image > 0.5).float())
    with pytest.raises(ValueError, match=r"must lie in 0 ... 1, got 0 ... 255"):
        make_volume({}, lambda item: {"image": steps.reshape(1, 16, 16, 1) * 255, "label": steps.reshape(1, 16, 16, 1)})


def test_parts_are_read_as_the_whole(item, tmp_path):
    volume = make_volume(item, chain())
    place = place_on_disk(item, chain(), tmp_path / "cache")
    place.write(volume)
    part = volume.part(3, 14)
    for source in (part, place, Anew(item, chain())):
        for one, other in zip(source.read(5, 13), volume.read(5, 13), strict=True):
            assert torch.equal(one, other)
    assert part.nbytes < volume.nbytes and part.images.untyped_storage().nbytes() == part.images.nbytes


def test_the_next_run_finds_what_was_kept(item, tmp_path, monkeypatch):
    kept = VolumeKeeper(chain(), 0, tmp_path / "cache").volume(item)[0]
    monkeypatch.setattr(volume_cache, "make_volume", None)
    again = VolumeKeeper(chain(), 0, tmp_path / "cache").volume(item)[0]
    assert torch.equal(kept.images, again.images) and torch.equal(kept.labels, again.labels)


def test_another_file_date_setting_or_slice_is_another_place(item, tmp_path):
    def place(item, chain):
        return place_on_disk(item, chain, tmp_path).images.name

    places = [place(item, chain()), place(item, chain(size=(16, 24))), place(item, chain(window_hu=(-900, 400)))]
    places += [place(item, chain("stretch")), place({**item, "slices": [[0, 9]]}, chain())]
    places += [place({**item, "tumor": []}, chain())]
    os.utime(item["tumor"][0], ns=(1, 1))
    places.append(place(item, chain()))
    assert len(set(places)) == 7
    assert place(item, chain()) == places[-1]


def test_a_chain_that_has_run_has_the_same_place(item, tmp_path):
    """Training and validation may share one chain, and MONAI's LoadImage changes when it runs."""
    used = chain()
    used(item)
    assert place_on_disk(item, used, tmp_path) == place_on_disk(item, chain(), tmp_path)


@pytest.mark.parametrize("spoil", ["cut", "missing", "other"])
def test_a_spoilt_cache_is_made_anew(item, tmp_path, spoil):
    folder = tmp_path / "cache"
    expected = PatchDataset([item], chain(), cache_gb=0, cache_dir=folder)[2]
    path = place_on_disk(item, chain(), folder).images
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif spoil == "missing":
        path.unlink()
    else:
        np.save(path, np.zeros((3, 3)))
    patch = PatchDataset([item], chain(), cache_gb=0, cache_dir=folder)[2]
    assert torch.equal(patch["image"], expected["image"]) and torch.equal(patch["label"], expected["label"])


def test_a_chain_that_can_not_be_told_from_others_is_refused(item, tmp_path):
    with pytest.raises(ConfigError, match="function of a module"):
        PatchDataset([item], Compose([*chain().transforms, lambda made: made]), cache_dir=tmp_path)


def test_files_of_the_cache_hold_no_names(item, tmp_path):
    PatchDataset([item], chain(), cache_dir=tmp_path / "cache")
    names = [path.name for path in Path(tmp_path, "cache").iterdir()]
    assert len(names) == 2 and not any(item["case_id"] + "." in name for name in names)
