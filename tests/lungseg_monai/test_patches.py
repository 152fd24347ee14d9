"""Patches: each holds tumour and is what the volume holds there; the same for any storage, worker and resume."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader
from monai.transforms import Compose
from tumor_items import AFFINE, make_item

from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.patches import PatchDataset, PatchSampler, augmented, per_patch
from lungseg_monai.transforms.tumor_chains import AUGMENTATIONS, patch_augmentation, tumor_volume

CHAIN = Compose(tumor_volume(["tumor"], "window", (-1000, 400), (24, 16)))
AUGMENT = Compose(patch_augmentation(True, dict.fromkeys(AUGMENTATIONS, 0.5)))


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cts")
    return [
        make_item(folder, "A", [3, 4, 9]),
        make_item(folder, "B", [], shape=(26, 20, 13)),
        make_item(folder, "C", [18], shape=(24, 22, 19)),
    ]


@pytest.fixture(scope="module")
def dataset(items):
    return PatchDataset(items, CHAIN, augment=AUGMENT, seed=5)


@pytest.fixture(scope="module")
def everything(items):
    return PatchDataset(items, CHAIN, only_labelled=False)


def epoch(dataset, number, workers=0, **options):
    sampler = PatchSampler(dataset, seed=5, **options)
    sampler.set_epoch(number)
    batches = list(DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers))
    return [torch.cat([batch[key] for batch in batches]) for key in ("image", "label", "start")]


def made(labelled):
    """A stand-in for a chain: a volume of 4 x 6 pixels a slice whose values count the slices."""
    depth = len(labelled)
    image = (torch.arange(depth) / 255).expand(1, 4, 6, depth)
    label = torch.as_tensor(labelled).expand(1, 4, 6, depth)
    return lambda item: {"image": image, "label": label.to(torch.uint8)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.integers(1, 8), st.booleans())
def test_every_training_patch_holds_tumour_and_lies_on_the_volume(labelled, stride, changed):
    augment = Compose(patch_augmentation(changed, {"flip": 0.5, "cropping": 0.5, "rotation": 0.5}))
    dataset = PatchDataset([{"case_id": "A"}], made(labelled), stride=stride, augment=augment)
    for index in range(len(dataset)):
        patch = dataset[1, index]
        assert patch["image"].shape == patch["label"].shape == (1, 4, 6, 8)
        assert patch["label"].any() and dataset.has_label[index]
        here = [min(patch["start"] + k, len(labelled) - 1) for k in range(8)]
        if not changed:
            assert torch.equal(patch["image"][0, 2, 3], torch.tensor(here) / 255)
        assert patch["label"].flatten(0, 2).any(dim=0).tolist() == [labelled[k] for k in here]


def test_patches_are_the_volume(items):
    """To the steps of 16 bits, the label exactly."""
    plain = PatchDataset(items, CHAIN, stride=3, only_labelled=False)
    volumes = {item["case_id"]: CHAIN(item) for item in items}
    assert {patch["case_id"] for patch in plain} == {"A", "B", "C"}
    for patch in plain:
        volume, at = volumes[patch["case_id"]], slice(patch["start"], patch["start"] + 8)
        expected = volume["image"].as_tensor()[..., at]
        assert (patch["image"] - expected).abs().max() <= 0.51 / 65535
        assert torch.equal(patch["label"], volume["label"].as_tensor()[..., at].float())
        assert patch["image"].dtype == patch["label"].dtype == torch.float32


def test_a_patient_without_tumour_validates_but_does_not_train(items, dataset):
    assert {patch["case_id"] for patch in dataset} == {"A", "C"}
    assert dataset.without_patches == ["B"] and dataset.refused == []
    validation = PatchDataset(items, CHAIN, stride=8, only_labelled=False)
    of_b = [patch for patch in validation if patch["case_id"] == "B"]
    assert len(of_b) == 2 and not any(patch["label"].any() for patch in of_b)


def test_a_cohort_without_tumour_is_refused(items, tmp_path):
    with pytest.raises(DatasetError, match="none of 1 cases gives a patch"):
        PatchDataset([items[1]], CHAIN)
    drawn_empty = {**make_item(tmp_path, "E", [2]), "tumor": []}
    with pytest.raises(DatasetError, match="nothing to learn"):
        PatchDataset([items[1], drawn_empty], CHAIN)
    with pytest.raises(DatasetError, match="no patch to train on"):
        PatchSampler(PatchDataset([], CHAIN))


def test_fewer_slices_than_a_patch_are_filled_up_with_the_last(tmp_path):
    item = make_item(tmp_path, "S", [4], shape=(24, 20, 5))
    (patch,) = list(PatchDataset([item], CHAIN))
    for key in ("image", "label"):
        assert patch[key].shape == (1, 24, 16, 8)
        assert all(torch.equal(patch[key][..., k], patch[key][..., 4]) for k in (5, 6, 7))
        assert not torch.equal(patch[key][..., 3], patch[key][..., 4])


def test_no_patch_reaches_across_a_gap_between_a_patients_blocks(tmp_path):
    item = {**make_item(tmp_path, "W", range(30), shape=(24, 20, 30)), "slices": [[0, 10], [14, 20], [21, 30]]}
    dataset = PatchDataset([item], CHAIN)
    assert sorted(patch["start"] for patch in dataset) == [0, 1, 2, 10, 16, 17]
    whole = CHAIN({**item, "slices": None})["image"].as_tensor()
    for patch in dataset:
        kept = [k for start, stop in item["slices"] for k in range(start, stop)][patch["start"]]
        length = 6 if patch["start"] == 10 else 8
        assert (patch["image"][..., :length] - whole[..., kept : kept + length]).abs().max() < 1e-5


@pytest.mark.parametrize("how", ["cache_dir", "cache_dir again", "none", "some"])
def test_storage_makes_no_difference(items, dataset, tmp_path, how):
    one_volume = dataset.stacks[0].slices.nbytes
    options = {"none": {"cache_gb": 0}, "some": {"cache_gb": 1.1e-9 * one_volume}}.get(how, {"cache_gb": 0})
    if "cache_dir" in how:
        options["cache_dir"] = tmp_path / "cache"
    if how == "cache_dir again":
        PatchDataset(items, CHAIN, **options)
    other = PatchDataset(items, CHAIN, augment=AUGMENT, seed=5, **options)
    assert other.storage == {"some": "none", "none": "none"}.get(how, "disk")
    assert other.held["memory"] == (1 if how == "some" else 0)
    assert all(torch.equal(a, b) for a, b in zip(epoch(dataset, 2), epoch(other, 2), strict=True))


@settings(max_examples=10, deadline=None)
@given(allowed=st.integers(0, 70_000), on_disk=st.booleans())
def test_never_more_than_the_memory_declared(items, tmp_path_factory, allowed, on_disk):
    folder = tmp_path_factory.getbasetemp() / "shared cache" if on_disk else None
    dataset = PatchDataset(items, CHAIN, cache_gb=allowed / 1e9, cache_dir=folder, only_labelled=False)
    held = [stack.slices for stack in dataset.stacks if hasattr(stack.slices, "nbytes")]
    assert sum(volume.nbytes for volume in held) == round(dataset.held_gb * 1e9) <= allowed
    assert sum(volume.images.untyped_storage().nbytes() for volume in held) <= allowed
    assert dataset.held["memory"] == len(held) and sum(dataset.held.values()) == 3
    assert dataset.storage == ("memory" if len(held) == 3 else "disk" if on_disk else "none")


def test_only_slices_that_patches_need_are_held(items):
    lean, whole = (PatchDataset([items[2]], CHAIN, only_labelled=which) for which in (True, False))
    assert lean.held_gb == pytest.approx(whole.held_gb * 8 / 19)  # the tumour lies in the last slice


def test_the_choice_of_storage_is_told(items, tmp_path, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    PatchDataset(items, CHAIN)
    assert "volumes in memory: 2" in caplog.text and "No labelled slice, no patch: B" in caplog.text
    PatchDataset(items, CHAIN, cache_gb=0)
    assert "raise --cache_gb or give --cache_dir" in caplog.text


def test_workers_change_nothing(dataset):
    for number in (1, 2):
        alone, helped = epoch(dataset, number), epoch(dataset, number, workers=2)
        assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_epochs_differ_and_a_resumed_one_is_the_same(items, dataset):
    one, two = epoch(dataset, 1), epoch(dataset, 2)
    assert not torch.equal(one[0], two[0])
    fresh = PatchDataset(items, CHAIN, augment=AUGMENT, seed=5)  # as after a restart: straight at epoch 2
    assert all(torch.equal(a, b) for a, b in zip(two, epoch(fresh, 2), strict=True))
    assert not torch.equal(two[0], epoch(PatchDataset(items, CHAIN, augment=AUGMENT, seed=6), 2)[0])


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 50), per_epoch=st.one_of(st.none(), st.integers(1, 40)), shuffle=st.booleans())
def test_an_epoch_draws_as_many_as_it_says_none_twice(dataset, number, per_epoch, shuffle):
    sampler = PatchSampler(dataset, per_epoch=per_epoch, shuffle=shuffle, seed=1)
    sampler.set_epoch(number)
    drawn = [index for _, index in sampler]
    assert len(drawn) == len(set(drawn)) == len(sampler) == min(per_epoch or len(dataset), len(dataset))
    assert {epoch for epoch, _ in sampler} == {number}
    if not shuffle:
        assert drawn == sorted(drawn)


def test_different_patches_each_epoch_until_all_were_shown(dataset):
    sampler, seen = PatchSampler(dataset, per_epoch=4), set()
    for number in range(30):
        sampler.set_epoch(number)
        seen |= {index for _, index in sampler}
    assert seen == set(range(len(dataset)))


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 50), per_epoch=st.one_of(st.none(), st.integers(1, 60)), share=st.floats(0, 0.9))
def test_a_share_of_an_epoch_holds_no_tumour(everything, number, per_epoch, share):
    sampler = PatchSampler(everything, per_epoch=per_epoch, seed=1, empty_share=share)
    sampler.set_epoch(number)
    drawn = [index for _, index in sampler]
    assert len(drawn) == len(set(drawn)) == len(sampler)
    labelled, all_labelled = int(everything.has_label[drawn].sum()), int(everything.has_label.sum())
    wanted = all_labelled / (1 - share) if per_epoch is None else per_epoch
    empty = min(round(wanted * share), len(everything) - all_labelled)
    assert len(drawn) - labelled == empty
    assert labelled == max(1, min(round(wanted) - empty, all_labelled))


def test_nothing_to_learn_without_a_labelled_patch(items):
    empty = PatchDataset([items[1]], CHAIN, only_labelled=False)
    with pytest.raises(DatasetError, match="nothing to learn"):
        PatchSampler(empty, empty_share=0.5)
    with pytest.raises(ConfigError, match="below 1"):
        PatchSampler(empty, empty_share=1.0)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize(("shuffle", "per_epoch"), [(True, None), (False, None), (True, 5)])
def test_processes_share_an_epoch(dataset, world, shuffle, per_epoch, monkeypatch):
    import torch.distributed as dist

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda *a: world)
    shares = []
    for rank in range(world):
        monkeypatch.setattr(dist, "get_rank", lambda *a, rank=rank: rank)
        sampler = PatchSampler(dataset, per_epoch=per_epoch, shuffle=shuffle, seed=3)
        shares.append([index for _, index in sampler])
        assert len(sampler) == len(shares[-1])
    everything = [index for share in shares for index in share]
    assert len(set(everything)) == (per_epoch or len(dataset))
    if shuffle:
        assert len({len(share) for share in shares}) == 1
    else:
        assert len(everything) == len(dataset)


def damage(item, tmp_path, how):
    """The item with one file spoilt; what is told of it."""
    image, mask = nib.load(item["image"]), nib.load(item["tumor"][0])
    if how == "truncated":
        (tmp_path / "image.nii.gz").write_bytes(Path(item["image"]).read_bytes()[:900])
        return {**item, "image": str(tmp_path / "image.nii.gz")}, "EOFError"
    if how == "not a number":
        voxels = image.get_fdata().astype(np.float32)
        voxels[1, 2, 3] = np.nan
        nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "image.nii.gz")
        return {**item, "image": str(tmp_path / "image.nii.gz")}, "1 voxels that are no finite numbers"
    if how == "no spacing":
        bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
        bare.set_sform(np.diag([1, 0, 1, 1]), code=1)
        nib.save(bare, tmp_path / "image.nii.gz")
        return {**item, "image": str(tmp_path / "image.nii.gz")}, "no spacing: [1.0, 0.0, 1.0] mm"
    if how == "spacing 0, no sform":
        bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
        bare.header["pixdim"][1:4] = [0, 1.1, 3.5]  # not by way of the affine, which would repair it
        nib.save(bare, tmp_path / "image.nii.gz")
        return {**item, "image": str(tmp_path / "image.nii.gz")}, "no spacing: [0.0, 1.1, 3.5] mm"
    if how == "mask not a number":
        nib.save(nib.Nifti1Image(np.where(mask.get_fdata() > 0, np.nan, 0), AFFINE), tmp_path / "gtv.nii.gz")
        return {**item, "tumor": [str(tmp_path / "gtv.nii.gz")]}, "a mask of tumor holds what is no finite number"
    voxels = np.asarray(mask.dataobj)[:-1] if how == "other shape" else np.asarray(mask.dataobj)
    affine = AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 4]) if how == "other place" else AFFINE
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "gtv.nii.gz")
    told = "[23, 20, 16] voxels against [24, 20, 16]" if how == "other shape" else "as many voxels, but up to 4 mm away"
    return {**item, "tumor": [str(tmp_path / "gtv.nii.gz")]}, f"another grid than its image: {told}"


DAMAGES = [
    "truncated", "not a number", "no spacing", "spacing 0, no sform", "mask not a number", "other shape", "other place"
]  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_spoilt_case_costs_only_itself(items, tmp_path, how):
    spoilt, told = damage(items[0], tmp_path, how)
    dataset = PatchDataset([spoilt, items[2]], CHAIN)
    assert {patch["case_id"] for patch in dataset} == {"C"}
    (entry,) = dataset.refused
    assert (entry["case_id"], entry["kind"]) == ("A", "damaged") and told in entry["reason"]
    with pytest.raises(DatasetError, match="no volume could be loaded"):
        PatchDataset([spoilt], CHAIN)


def test_a_change_that_loses_the_tumour_is_not_made():
    image, label = torch.rand(1, 8, 8, 8), torch.zeros(1, 8, 8, 8)
    label[0, 1, 2, 3] = 1
    losing = Compose([lambda item: {"image": item["image"] + 1, "label": item["label"] * 0}])
    assert augmented(losing, image, label)[0] is image and augmented(losing, image, label)[1] is label
    assert torch.equal(augmented(losing, image, label * 0)[0], image + 1)


def test_the_authors_patches_reach_one(items):
    chain = Compose(tumor_volume(["tumor"], "stretch", (-1000, 400), (24, 16)))
    dataset = PatchDataset(items, chain, augment=AUGMENT, per_patch=per_patch("stretch"))
    assert all(float(patch["image"].max()) == 1 for patch in dataset)
    assert per_patch("window") is None


@pytest.mark.parametrize("wrong", [{"cache_gb": -1}, {"cache_gb": float("nan")}, {"slices": 0}, {"stride": 9}])
def test_senseless_numbers(items, wrong):
    with pytest.raises(ConfigError):
        PatchDataset(items, CHAIN, **wrong)
    with pytest.raises(ConfigError):
        PatchSampler(PatchDataset(items, CHAIN), per_epoch=0)
