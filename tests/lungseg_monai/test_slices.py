"""Slices served from volumes: which, in what order, changed how; the same for any number of workers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader
from monai.transforms import Compose
from prepared import make_prepared

from lungseg_monai.data import select_cases
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.slices import SliceDataset, SliceSampler, slice_seed
from lungseg_monai.transforms.chains import labelled_volume, slice_augmentation

CHAIN = Compose(labelled_volume(["lungs"], (-1000, 400), (32, 32)))


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = make_prepared(tmp_path_factory.mktemp("prepared"))
    return select_cases(folder, {"lungs": ["lung_left", "lung_right"]}).items("training")


@pytest.fixture(scope="module")
def dataset(items):
    return SliceDataset(items, CHAIN, Compose(slice_augmentation(True)), seed=5)


def epoch(dataset, number, workers=0, **options):
    sampler = SliceSampler(dataset, seed=5, **options)
    sampler.set_epoch(number)
    batches = list(DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=workers))
    return torch.cat([batch["image"] for batch in batches]), torch.cat([batch["label"] for batch in batches])


def test_every_slice_of_every_volume(items):
    plain = SliceDataset(items, CHAIN)
    volume = CHAIN(items[1])
    assert len(plain) == sum(item["slice_count"] for item in items)
    first = items[0]["slice_count"]
    for k in range(items[1]["slice_count"]):
        slice_ = plain[first + k]
        assert torch.equal(slice_["image"], volume["image"].as_tensor()[..., k])
        assert torch.equal(slice_["label"], volume["label"].as_tensor()[..., k].float())
        assert plain.has_label[first + k] == bool(slice_["label"].any())
        assert slice_["case_id"] == "P2"


def test_workers_change_nothing(dataset):
    for number in (1, 2):
        alone, helped = epoch(dataset, number), epoch(dataset, number, workers=2)
        assert torch.equal(alone[0], helped[0]) and torch.equal(alone[1], helped[1])


def test_epochs_differ_and_repeat(dataset):
    one, two, again = epoch(dataset, 1)[0], epoch(dataset, 2)[0], epoch(dataset, 1)[0]
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1), number=st.integers(0, 50), shuffle=st.booleans())
def test_all_slices_with_label_and_a_share_of_the_others(dataset, share, number, shuffle):
    sampler = SliceSampler(dataset, empty_share=share, shuffle=shuffle, seed=1)
    sampler.set_epoch(number)
    drawn = [index for _, index in sampler]
    labelled = dataset.has_label[drawn]
    assert len(drawn) == len(set(drawn)) == len(sampler)
    assert labelled.sum() == dataset.has_label.sum()
    assert (~labelled).sum() == round(share * int((~dataset.has_label).sum()))
    assert {epoch for epoch, _ in sampler} == {number}
    if not shuffle:
        assert drawn == sorted(drawn)


def test_different_empty_slices_each_epoch(dataset):
    sampler = SliceSampler(dataset, empty_share=0.3)
    seen = set()
    for number in range(12):
        sampler.set_epoch(number)
        seen |= {index for _, index in sampler if not dataset.has_label[index]}
    assert len(seen) > 2 * sampler.empty_count


@pytest.mark.parametrize("world", [2, 3, 7])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_an_epoch(dataset, world, shuffle, monkeypatch):
    import torch.distributed as dist

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda *a: world)
    shares = []
    for rank in range(world):
        monkeypatch.setattr(dist, "get_rank", lambda *a, rank=rank: rank)
        sampler = SliceSampler(dataset, shuffle=shuffle, seed=3)
        shares.append([index for _, index in sampler])
        assert len(sampler) == len(shares[-1])
    everything = sorted(index for share in shares for index in share)
    assert set(everything) == set(range(len(dataset)))
    if shuffle:
        assert len({len(share) for share in shares}) == 1
    else:
        assert len(everything) == len(dataset)


def test_nothing_to_learn_is_refused(items):
    def changed(change):
        return SliceDataset(items, lambda item: (loaded := CHAIN(item)) | {"label": change(loaded["label"])})

    for change, told in [
        (lambda label: label * 0, "no slice of the training cases holds a label: there is nothing to learn"),
        (lambda label: label * 0 + 1, "what is to be learnt fills every training slice"),
        (lambda label: torch.cat([label, label * 0]), "target 2 of the 2 in --labels is in no training slice"),
    ]:
        with pytest.raises(DatasetError, match=told):
            SliceSampler(changed(change))
        SliceSampler(changed(change), shuffle=False)  # to validate on


def test_a_volume_that_does_not_load_costs_only_itself(items, tmp_path):
    truncated = tmp_path / "image.nii.gz"
    data = Path(items[0]["image"]).read_bytes()
    truncated.write_bytes(data[: len(data) // 2])
    dataset = SliceDataset([{**items[0], "image": str(truncated)}, items[1]], CHAIN)
    assert len(dataset) == items[1]["slice_count"]
    assert dataset.refused[0]["case_id"] == "P1" and "EOFError" in dataset.refused[0]["reason"]
    with pytest.raises(DatasetError, match="no volume could be loaded"):
        SliceDataset([{**items[0], "image": str(truncated)}], CHAIN)


def test_more_than_the_memory_allowed_is_refused_with_advice(items, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    with pytest.raises(ConfigError, match=r"cache_gb allows 1e-05.*spatial_size"):
        SliceDataset(items, CHAIN, cache_gb=1e-5)
    SliceDataset(items, CHAIN)
    assert "Holding 2 volumes in memory" in caplog.text


def test_seeds_are_well_mixed():
    seeds = {slice_seed(s, e, i) for s in range(4) for e in range(10) for i in range(50)}
    assert len(seeds) == 2000
    assert np.std([seed / 2**32 for seed in seeds]) == pytest.approx(12**-0.5, abs=0.02)
