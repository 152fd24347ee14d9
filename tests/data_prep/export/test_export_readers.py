"""What other readers make of our RTSTRUCTs: the same voxels, in the style that suits them."""

import shutil
import subprocess

import numpy as np
import pytest
from dicom_factory import Ct, write_ct

from data_prep.export import Region, RtstructOptions, read_reference, write_rtstruct

CT = Ct(shape=(40, 40, 5), spacing_mm=(1.5, 1.5, 3.5))
PLASTIMATCH = shutil.which("plastimatch")


def awkward():
    """[i, j, k]: holes and islands in them, single voxels, diagonal chains, lines of one voxel; nothing at the rim."""
    mask = np.zeros(CT.shape, np.uint8)
    mask[2:30, 3:25] = 1
    mask[5:20, 6:20] = 0
    mask[8:14, 8:12, 1:] = 1
    mask[2:38, 2:38, 2] &= np.random.default_rng(0).random((36, 36)) < 0.8
    mask[range(26, 38), range(26, 38), 3] = 1
    mask[35, 4] = mask[20:38, 30, 1] = 1
    return mask


def written(folder, style, holes):
    write_ct(folder / "ct", CT)
    regions = [Region("awkward", awkward(), series.grid) for series in [read_reference(folder / "ct")]]
    options = RtstructOptions(contour_style=style, holes=holes)
    write_rtstruct(regions, read_reference(folder / "ct"), folder / "rs.dcm", options)
    return folder / "rs.dcm"


@pytest.mark.parametrize("holes", ["separate", "keyhole"])
def test_rt_utils_reads_centre_style_exactly(tmp_path, holes):
    pytest.importorskip("rt_utils", reason="rt-utils is not installed, or its OpenCV can't load", exc_type=ImportError)
    from rt_utils import RTStructBuilder

    path = written(tmp_path, "centre", holes)
    found = RTStructBuilder.create_from(str(tmp_path / "ct"), str(path)).get_roi_mask_by_name("awkward")
    assert np.array_equal(found.transpose(1, 0, 2), awkward() == 1)


@pytest.mark.skipif(PLASTIMATCH is None, reason="plastimatch is not installed")
@pytest.mark.parametrize(
    ("style", "holes", "flags"),
    [
        ("edge", "separate", ["--xor-contours"]),
        ("centre", "separate", ["--xor-contours"]),
        ("edge", "keyhole", ["--xor-contours"]),
        ("edge", "keyhole", []),  # which fills contours apart from each other: a hole in one is one all the same
        ("centre", "keyhole", []),
    ],
)
def test_plastimatch_reads_every_style_exactly(tmp_path, style, holes, flags):
    import SimpleITK

    path = written(tmp_path, style, holes)
    command = [PLASTIMATCH, "convert", "--input", path, "--referenced-ct", tmp_path / "ct", *flags]
    words = [*command, "--output-prefix", tmp_path / "out", "--prefix-format", "nrrd"]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
    (image,) = (tmp_path / "out").iterdir()
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(image))).transpose(2, 1, 0)
    assert np.array_equal(found != 0, awkward() == 1)
