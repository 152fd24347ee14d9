"""NPZ masks: the voxels that were meant, what was assumed said, and nothing loaded that should not be."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import Ct, write_ct

from data_prep.errors import UnreadableFileError
from data_prep.geometry import Grid
from data_prep.npz import pair_npz, read_npz
from data_prep.series import read_series

SHAPE = (7, 6, 5)  # columns, rows, slices


def mask_of(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)


def grid_of(shape=SHAPE):
    return Grid(shape, Ct(shape=shape).affine_lps)


@pytest.mark.parametrize(
    "axes",
    [(2, 1, 0), (1, 0, 2), (0, 1, 2)],
    ids=["slices, rows, columns", "rows, columns, slices", "columns, rows, slices"],
)
@pytest.mark.parametrize("stored", [np.uint8, bool, np.float32, np.int64, "x255", "F", "four axes"], ids=str)
def test_orders_and_types(tmp_path, axes, stored):
    mask = mask_of()
    array = mask.transpose(axes)
    if stored == "x255":
        array = array * 255
    elif stored == "F":
        array = np.asfortranarray(array)
    elif stored == "four axes":
        array = array[None]
    else:
        array = array.astype(stored)
    np.savez_compressed(tmp_path / "Case_000.npz", lungs=array)
    (drawn,) = read_npz(tmp_path / "Case_000.npz", SHAPE)
    out, report = drawn.fill(grid_of())
    assert drawn.name == "lungs" and drawn.problem is None
    assert np.array_equal(out, mask) and out.dtype == np.uint8
    assert report.voxels == mask.sum()
    assert report.polygon_mm3 == pytest.approx(mask.sum() * grid_of().voxel_volume_mm3)
    (note,) = report.notes
    assert "ascending in z" in note


@pytest.mark.parametrize("feet_up", [False, True])
def test_slices_ascend_in_z_as_the_authors_sort_them(tmp_path, feet_up):
    axes = np.diag([-1.0, 1, -1]) if feet_up else np.eye(3)  # feet first, the normal points to the feet
    ct = Ct(shape=SHAPE, axes=axes)
    _, grid = read_series(write_ct(tmp_path / "ct", ct))
    mask = mask_of()
    by_z = np.argsort([ct.points_mm([0, 0, k])[2] for k in range(SHAPE[2])])
    np.savez(tmp_path / "m.npz", np.stack([mask[:, :, k].T for k in by_z]))
    (drawn,) = read_npz(tmp_path / "m.npz", SHAPE)
    assert drawn.name == "arr_0"
    assert np.array_equal(drawn.fill(grid)[0], mask)


def test_a_square_image_leaves_no_doubt_but_a_cube_does(tmp_path):
    for shape, notes in [((6, 6, 4), 1), ((6, 6, 6), 2), ((4, 6, 4), 2)]:
        mask = mask_of(shape)
        np.savez(tmp_path / "m.npz", mask=mask.transpose(2, 1, 0))
        (drawn,) = read_npz(tmp_path / "m.npz", shape)
        out, report = drawn.fill(grid_of(shape))
        assert np.array_equal(out, mask)
        assert len(report.notes) == notes, shape
    mask = mask_of((6, 6, 4))
    np.savez(tmp_path / "m.npz", mask=mask.transpose(1, 0, 2))
    assert np.array_equal(read_npz(tmp_path / "m.npz", (6, 6, 4))[0].fill(grid_of((6, 6, 4)))[0], mask)


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.full(SHAPE, np.nan), "no finite"),
        (np.zeros(SHAPE, bool), "marks no voxel"),
        (np.arange(210).reshape(SHAPE), "from 0 to 209"),
        (np.full(SHAPE, -1), "from -1"),
        (np.linspace(0, 1, 210).reshape(SHAPE), "not 0 and 1"),
        (np.ones((7, 6, 4)), "5 slices of 6 rows and 7 columns"),
        (np.ones((6, 7)), "not the image's"),
        (np.ones(SHAPE, complex), "complex"),
        (np.full(SHAPE, "a"), "wanted integers"),
        (np.full(SHAPE, None), "Python objects"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_mask_is_refused_by_name(tmp_path, array, named):
    np.savez(tmp_path / "m.npz", good=mask_of(), bad=array)
    good, bad = read_npz(tmp_path / "m.npz", SHAPE)
    assert good.problem is None
    assert bad.name == "bad" and named in bad.problem


def npy(shape, content=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


@pytest.mark.parametrize("shape", [SHAPE, (5, 6, 7)])
@pytest.mark.parametrize("content", [b"", b"\x01" * 209, b"\x01" * 211, b"\0" * 50_000_000], ids=len)
def test_sizes_that_lie_are_refused(tmp_path, shape, content):
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.npy", npy(shape, content))
    with pytest.raises(UnreadableFileError, match="declares 210"):
        read_npz(tmp_path / "m.npz", SHAPE)


def test_an_array_too_large_for_the_image_is_never_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("m.npy", npy((10**6, 10**6, 10**6)))
    assert "not the image's" in read_npz(tmp_path / "m.npz", SHAPE)[0].problem


def test_damaged_archives_are_refused_or_right(tmp_path):
    mask = mask_of()
    np.savez_compressed(tmp_path / "m.npz", mask=mask)
    content, random = (tmp_path / "m.npz").read_bytes(), np.random.default_rng(0)
    refused = 0
    for n in range(80):
        damaged = bytearray(content[: random.integers(len(content))] if n % 2 else content)
        if len(damaged):
            damaged[random.integers(len(damaged))] ^= 1 << random.integers(8)
        (tmp_path / "bad.npz").write_bytes(damaged)
        try:
            drawn = read_npz(tmp_path / "bad.npz", SHAPE)
        except UnreadableFileError:
            refused += 1
            continue
        for one in drawn:
            assert one.problem or np.array_equal(one.fill(grid_of())[0], mask)
    assert refused >= 40


def test_pickles_are_not_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "m.npz", trap=np.array([Trap()], dtype=object))
    assert "Python objects" in read_npz(tmp_path / "m.npz", SHAPE)[0].problem
    assert not (tmp_path / "sprung").exists()


ROOT = Path("data/Case studies")
IMAGES = {f"uid{n}": ROOT / "Images" / f"Case_{n:03d}" for n in range(12)}


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("Masks/Case_001.npz", "uid1"),
        ("Masks/Case_001_seg.npz", "uid1"),
        ("Masks/case_010-mask.npz", "uid10"),
        ("Masks/Case_011/anything.npz", "uid11"),
        ("Images/Case_003/mask.npz", "uid3"),
        ("Masks/Case_0010.npz", None),
        ("Masks/Case_01.npz", None),
        ("Masks/patient.npz", None),
        ("Images/mask.npz", None),
    ],
)
def test_archives_find_their_series_by_name(name, series):
    found = pair_npz([ROOT / name], IMAGES)
    assert found.by_series == ({series: [ROOT / name]} if series else {})
    assert bool(found.unpaired) == (series is None)


def test_an_archive_that_fits_two_series_is_refused():
    folders = {"a": ROOT / "Images/Case_1/phase0", "b": ROOT / "Images/Case_1/phase50", "c": ROOT / "Images/Case_2/x"}
    found = pair_npz([ROOT / "Masks/Case_1.npz", ROOT / "Masks/Case_2.npz"], folders)
    assert found.by_series == {"c": [ROOT / "Masks/Case_2.npz"]}
    assert "2 series" in found.unpaired[0][1]
    assert pair_npz([ROOT / "Masks/phase50/Case_1.npz"], folders).unpaired


def test_one_archive_above_one_series_needs_no_name():
    folder = {"a": ROOT / "Case_1/ct"}
    assert pair_npz([ROOT / "Case_1/mask.npz"], folder).by_series == {"a": [ROOT / "Case_1/mask.npz"]}
    assert pair_npz([ROOT / "Case_1/b.npz", ROOT / "Case_1/c.npz"], folder).by_series == {}
