"""One series, several volumes: separated by what tells them apart, and never where it is one."""

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from dicom_factory import ROOT, Ct, rotation, write_ct

from data_prep.errors import SeriesError
from data_prep.files import read_header
from data_prep.separate import separate
from data_prep.series import arrange, read_volume
from data_prep.slices import SLICE_TAGS, SliceHeader, slice_header

SMALL = Ct(shape=(6, 5, 8))


def headers(files) -> list[SliceHeader]:
    return [slice_header(path, read_header(path, SLICE_TAGS)) for path in files]


def write(folder: Path, ct: Ct = SMALL, add: int = 0, keep=lambda k: True, **tags) -> list[SliceHeader]:
    """Slices of `ct` with `tags` (values, or functions of k), UIDs of their own and `add` on the stored values."""

    def edit(data, k):
        data.SOPInstanceUID = f"{ROOT}9.{crc32(folder.name.encode())}.{k}"
        for keyword, value in tags.items():
            setattr(data, keyword, value(k) if callable(value) else value)
        return data if keep(k) else None

    return headers(write_ct(folder, ct, ct.coded() + add, edit))


def sizes(parts) -> dict[str, int]:
    return {part.label: len(part.slices) for part in parts}


def assert_one(slices):
    (part,) = separate(slices)
    assert (part.rule, part.label, part.minor) == ("", "", False)
    assert {one.path for one in part.slices} == {one.path for one in slices}


@pytest.mark.parametrize(
    ("tags", "labels", "tag"),
    [
        (({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}), ("phase-1", "phase-2"), "0020,0100"),
        (({"AcquisitionNumber": 4}, {"AcquisitionNumber": 12}), ("acquisition-4", "acquisition-12"), "0020,0012"),
        (
            ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f/3"}),
            ("kernel-B30f", "kernel-B70f-3"),
            "0018,1210",
        ),
        (({"SliceThickness": 1}, {"SliceThickness": 5}), ("thickness-1", "thickness-5"), "0018,0050"),
        (({}, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}), ("type-1", "type-2"), "0008,0008"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_two_volumes_at_the_same_places(tmp_path, tags, labels, tag):
    both = [write(tmp_path / "a", **tags[0]), write(tmp_path / "b", add=300, **tags[1])]
    parts = separate(both[1] + both[0])
    assert tuple(part.label for part in parts) == labels
    for part in parts:
        assert tag in part.rule and not part.minor
        lowest = read_volume(arrange(part.slices)).array_ijk.min()
        assert lowest in (-1024, -724) and len(part.slices) == 8
    assert {one.path for part in parts for one in part.slices} == {one.path for one in both[0] + both[1]}


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (replace(SMALL, spacing_mm=(1.25, 2.25, 3.5)), "spacing"),
        (replace(SMALL, shape=(7, 5, 8)), "size"),
        (replace(SMALL, axes=rotation(0, 90, 0)), "orientation"),
        (replace(SMALL, frame="2"), "frame"),
        (replace(SMALL, origin_mm=(-20.0, 17.5, -203.75)), "position"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_two_geometries(tmp_path, other, kind):
    parts = separate(write(tmp_path / "a") + write(tmp_path / "b", other))
    assert [len(part.slices) for part in parts] == [8, 8]
    assert all(part.label.startswith(f"{kind}-") for part in parts)
    for part in parts:
        arrange(part.slices)


def test_kernels_in_two_phases_are_four_volumes(tmp_path):
    slices = []
    for n, (kernel, phase) in enumerate([("B30f", 1), ("B30f", 2), ("B70f", 1), ("B70f", 2)]):
        tags = {"ConvolutionKernel": kernel, "TemporalPositionIdentifier": phase}
        slices += write(tmp_path / str(n), add=n, AcquisitionNumber=lambda k: k // 3 + 1, **tags)
    expected = [f"phase-{phase}_kernel-{kernel}" for phase in (1, 2) for kernel in ("B30f", "B70f")]
    assert sizes(separate(slices)) == dict.fromkeys(expected, 8)


@pytest.mark.parametrize(
    "number", [lambda k: k, lambda k: k // 2, lambda k: 8 - k, lambda k: k % 2], ids=["each", "pairs", "down", "odd"]
)
def test_acquisition_numbers_that_change_within_one_volume_don_t_split_it(tmp_path, number):
    slices = write(tmp_path, AcquisitionNumber=number)
    assert_one(slices)
    assert_one(slices[:3] + slices[4:])  # a gap is for `arrange` to name


def test_acquisitions_that_continue_each_other_stay_together_in_each_pass(tmp_path):
    slices = write(tmp_path / "a", AcquisitionNumber=lambda k: 1 + k // 2)
    slices += write(tmp_path / "b", add=100, AcquisitionNumber=lambda k: 5 + k // 2)
    assert sizes(separate(slices)) == {"acquisition-1": 8, "acquisition-5": 8}


def test_a_missing_slice_does_not_hide_two_phases(tmp_path):
    slices = write(tmp_path / "a", TemporalPositionIdentifier=1)
    slices += write(tmp_path / "b", add=9, keep=lambda k: k != 3, TemporalPositionIdentifier=2)
    assert sizes(separate(slices)) == {"phase-1": 8, "phase-2": 7}


def test_copies_stay_together_whatever_they_call_themselves(tmp_path):
    slices = write(tmp_path / "a", AcquisitionNumber=1) + write(tmp_path / "b", AcquisitionNumber=2)
    assert_one(slices)
    assert "8 slice(s) dropped" in read_volume(arrange(slices)).repairs[0]


def test_stacks_that_interleave_are_told_apart_by_kernel_and_phase(tmp_path):
    shifted = replace(SMALL, origin_mm=(-31.25, 17.5, -202.0))
    slices = write(tmp_path / "a") + write(tmp_path / "b", shifted, ConvolutionKernel="B70f")
    assert sizes(separate(slices)) == {"kernel-B30f": 8, "kernel-B70f": 8}


def test_scans_far_from_each_other_are_two_and_near_ones_one(tmp_path):
    def at(steps):
        ct = replace(SMALL, origin_mm=(-31.25, 17.5, -203.75 + (7 + steps) * 3.5))
        return write(tmp_path / f"{steps}", ct, AcquisitionNumber=2)

    first = write(tmp_path / "a", AcquisitionNumber=1)
    assert sizes(separate(first + at(9))) == {"acquisition-1": 8, "acquisition-2": 8}
    assert_one(first + at(2))
    assert_one(first + at(1))


def test_localizers_are_minor(tmp_path):
    localizer = write(tmp_path / "b", replace(SMALL, shape=(9, 11, 2), axes=rotation(0, 90, 0)))
    parts = separate(localizer[:1] + write(tmp_path / "a") + localizer[1:])
    assert [(len(part.slices), part.minor) for part in parts] == [(8, False), (2, True)]
    assert "0020,0037" in parts[1].rule


def test_one_slice_scanned_again_is_minor(tmp_path):
    again = write(tmp_path / "b", add=50, keep=lambda k: k == 4, AcquisitionNumber=2)
    parts = separate(write(tmp_path / "a", AcquisitionNumber=1) + again)
    assert [(len(part.slices), part.minor) for part in parts] == [(8, False), (1, True)]


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"])
def test_a_damaged_slice_is_not_put_aside(tmp_path, keyword):
    def spoil(one, k):
        field = {"ImagePositionPatient": "position_mm", "ImageOrientationPatient": "orientation"}
        field |= {"PixelSpacing": "pixel_spacing_mm", "Rows": "rows"}
        return replace(one, **{field[keyword]: None}) if k == 2 else one

    assert_one([spoil(one, k) for k, one in enumerate(write(tmp_path))])


def test_a_fault_in_every_slice_shatters_nothing(tmp_path):
    slices = write(tmp_path)
    assert_one([replace(one, frame_uid=f"1.2.{k}") for k, one in enumerate(slices)])
    assert_one([replace(one, orientation=(1, 0, 0, 1, 0, 0)) for one in slices])
    assert_one(
        [replace(one, orientation=(1, 0, 0, 0, np.cos(k / 1e3), np.sin(k / 1e3))) for k, one in enumerate(slices)]
    )


def test_labels_are_safe_and_differ(tmp_path):
    kernels = ["Lung/../../x", "Lung ..  .. x", "LUNG....X", "é" * 90]
    slices = []
    for n, kernel in enumerate(kernels):
        slices += write(tmp_path / str(n), add=n, SpecificCharacterSet="ISO_IR 192", ConvolutionKernel=kernel)
    labels = [part.label for part in separate(slices)]
    assert len({label.lower() for label in labels}) == 4
    assert all(
        label.replace("-", "").replace(".", "").replace("_", "").isalnum() and label.isascii() for label in labels
    )
    slices = [replace(one, temporal_position="Doe" if one.kernel == kernels[0] else "Roe") for one in slices]
    assert not any("Doe" in part.label or "Roe" in part.label for part in separate(slices))


def test_real_series_are_one_volume(real_data):
    for name in ("nsclc-radiomics/LUNG1-001/ct", "cip-ct64/dicom", "dicom-awkward/ge-tilt-mixed-spacing"):
        assert_one(headers(path for path in (real_data / name).iterdir() if path.name != "LICENSE"))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [1e300, -1e200, 3e154])
@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize(("name", "count"), [("position_mm", 3), ("orientation", 6), ("pixel_spacing_mm", 2)])
def test_impossible_numbers_are_refused_without_a_warning(tmp_path, name, count, value, every):
    slices = write(tmp_path / "a") + write(tmp_path / "b")
    odd = [
        replace(one, **{name: (value,) * count}) if every or n in (3, 11) else one  # type: ignore[arg-type]
        for n, one in enumerate(slices)
    ]
    parts = separate(odd)
    assert sum(len(part.slices) for part in parts) == len(slices)
    if name != "pixel_spacing_mm" or not every:
        with pytest.raises(SeriesError):
            for part in parts:
                arrange(part.slices)
