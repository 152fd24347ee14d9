"""Masks to DICOM SEG and back through highdicom: the same voxels at the same places, coded in SNOMED CT."""

import json
import subprocess
from datetime import datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicom_factory import Ct, rotation, write_ct
from pydicom import dcmread

from data_prep.errors import NothingToDoError, UsageError
from data_prep.export import ExportOptions, Region, read_reference, write_seg
from data_prep.export.structures import all_structures, structures
from data_prep.geometry import Grid
from data_prep.roi_names import LABELS

DCIODVFY = Path("/usr/bin/dciodvfy")
FIXED = ExportOptions(timestamp=datetime(2026, 1, 31, 12, 30, 59))
AXES = {
    "axial": np.eye(3),
    "prone, descending": np.diag([-1.0, -1, 1]) * [1, 1, -1],
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "oblique": rotation(12, -25, 40),
}


def blob(shape, seed=0, share=0.4):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def region(ct, name="lung_left", mask=None):
    mask = blob(ct.shape) if mask is None else mask
    return Region(name, mask, Grid(mask.shape, ct.affine_lps))


def voxels(mask_ijk, points_mm):
    return {tuple(point) for point in np.round(points_mm(np.argwhere(mask_ijk)), 2)}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())
def test_highdicom_finds_every_voxel_where_it_was(tmp_path, axes):
    ct = Ct(shape=(12, 9, 5), axes=axes)
    write_ct(tmp_path / "ct", ct)
    masks = [blob(ct.shape), blob(ct.shape, 1)]  # they overlap
    regions = [region(ct, name, mask) for name, mask in zip(["lung_left", "gtv"], masks, strict=True)]
    report = write_seg(regions, read_reference(tmp_path / "ct"), tmp_path / "seg.dcm")
    assert report.exit_code == 0 and [one.voxels for one in report.written] == [mask.sum() for mask in masks]
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    for number, mask in enumerate(masks, start=1):
        volume = seg.get_volume(segment_numbers=[number], combine_segments=False)
        index = np.argwhere(volume.array[..., 0])
        found = {tuple(point) for point in np.round(volume.map_indices_to_reference(index), 2)}
        assert found == voxels(mask, ct.points_mm)


def test_segments_are_coded_and_named(tmp_path):
    ct = Ct(shape=(12, 9, 5))
    write_ct(tmp_path / "ct", ct)
    names = ["lung_left", "lung_right", "gtv", "what else"]
    report = write_seg(
        [region(ct, name) for name in names], read_reference(tmp_path / "ct"), tmp_path / "seg.dcm", FIXED
    )
    data = dcmread(tmp_path / "seg.dcm")
    found = [
        (
            one.SegmentLabel,
            one.SegmentedPropertyCategoryCodeSequence[0].CodeValue,
            one.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            one.SegmentAlgorithmType,
        )
        for one in data.SegmentSequence
    ]
    assert found == [
        ("Lung_L", "91723000", "44029006", "AUTOMATIC"),
        ("Lung_R", "91723000", "3341006", "AUTOMATIC"),
        ("GTV", "49755003", "108369006", "AUTOMATIC"),
        ("what else", "85756007", "85756007", "AUTOMATIC"),
    ]
    assert report.written[3].notes == ("no SNOMED CT code known for it: coded as tissue",)
    assert data.PatientID == "P1" and data.ContentDate == "20260131" and data.SegmentationType == "BINARY"


def test_no_frame_is_empty_and_slices_without_voxels_have_none(tmp_path):
    ct = Ct(shape=(12, 9, 5))
    write_ct(tmp_path / "ct", ct)
    mask = blob(ct.shape)
    mask[:, :, [0, 3]] = 0
    write_seg([region(ct, mask=mask)], read_reference(tmp_path / "ct"), tmp_path / "seg.dcm")
    data = dcmread(tmp_path / "seg.dcm")
    assert data.NumberOfFrames == 3
    assert data.pixel_array.any(axis=(1, 2)).all()


def test_the_same_input_at_the_same_time_gives_the_same_bytes(tmp_path):
    ct = Ct(shape=(12, 9, 5))
    write_ct(tmp_path / "ct", ct)
    series = read_reference(tmp_path / "ct")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_seg([region(ct, mask=blob(ct.shape, seed))], series, tmp_path / f"{name}.dcm", FIXED)
    a, b, c = ((tmp_path / f"{name}.dcm").read_bytes() for name in "abc")
    assert a == b != c
    assert dcmread(tmp_path / "a.dcm").SOPInstanceUID != dcmread(tmp_path / "c.dcm").SOPInstanceUID


def test_tilted_and_uneven_series_state_each_frame_s_place(tmp_path):
    ct = Ct(shape=(12, 9, 5), spacing_mm=(1.5, 2.25, 3.0))
    along = [0, 3, 6, 9, 18]

    def edit(data, k):
        data.ImagePositionPatient = [-31.25, 17.5 + 0.2 * along[k], -203.75 + along[k]]
        return data

    write_ct(tmp_path / "ct", ct, edit=edit)
    affine = ct.affine_lps
    affine[1, 2] = 0.6
    mask = blob((12, 9, 4))
    write_seg([Region("lung", mask, Grid(mask.shape, affine))], read_reference(tmp_path / "ct"), tmp_path / "seg.dcm")
    data = dcmread(tmp_path / "seg.dcm")
    at = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in data.PerFrameFunctionalGroupsSequence]
    np.testing.assert_allclose(
        np.array(sorted(at, key=lambda position: position[2]), float),
        [[-31.25, 17.5 + 0.2 * z, -203.75 + z] for z in along[:4]],
        atol=1e-6,
    )


def test_a_patient_without_details_is_no_obstacle(tmp_path):
    ct = Ct(shape=(12, 9, 5))

    def edit(data, k):
        del data.PatientBirthDate, data.ReferringPhysicianName
        return data

    write_ct(tmp_path / "ct", ct, edit=edit)
    write_seg([region(ct)], read_reference(tmp_path / "ct"), tmp_path / "seg.dcm")
    assert dcmread(tmp_path / "seg.dcm").PatientBirthDate == ""


def test_nothing_to_write_and_nowhere_to_write_to(tmp_path):
    ct = Ct(shape=(12, 9, 5))
    (image, *_) = write_ct(tmp_path / "ct", ct)
    series = read_reference(tmp_path / "ct")
    with pytest.raises(NothingToDoError, match="empty"):
        write_seg([region(ct, mask=np.zeros(ct.shape))], series, tmp_path / "seg.dcm")
    with pytest.raises(UsageError, match="not made by this command"):
        write_seg([region(ct)], series, image)


def test_codes_mean_what_the_standard_says():
    from pydicom.sr.codedict import codes

    known = {}
    for code in (getattr(codes.SCT, name) for name in codes.SCT.dir()):
        known.setdefault(code.value, set()).add(code.meaning)
    sides = {  # of SNOMED CT, but in no list of codes of the standard
        "44029006": "Left lung",
        "3341006": "Right lung",
        "18639004": "Left kidney",
        "9846003": "Right kidney",
    }
    for one in all_structures().values():
        value, meaning = one.type_code
        assert meaning in known.get(value, {sides.get(value)})
        assert one.category[1] in known[one.category[0]]
    assert structures()["lung_left"].type_code == ("44029006", "Left lung")


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_dciodvfy_has_nothing_against_it(tmp_path):
    ct = Ct(shape=(12, 9, 5), tags={"StudyID": "1", "StudyDate": "20240229", "StudyTime": "101112"})
    write_ct(tmp_path / "ct", ct)
    regions = [region(ct, name, blob(ct.shape, n)) for n, name in enumerate(["lung_left", "gtv", "what else"])]
    write_seg(regions, read_reference(tmp_path / "ct"), tmp_path / "seg.dcm")
    said = subprocess.run([DCIODVFY, tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
    assert "Segmentation" in said.stderr + said.stdout
    assert not [line for line in (said.stderr + said.stdout).splitlines() if line.startswith(("Error", "Warning"))]


def test_every_label_of_ours_has_a_name_of_16_characters_and_a_colour_of_its_own():
    rows = json.loads(LABELS.read_text(encoding="utf-8"))
    labels = {row["label"] for row in rows} if isinstance(rows, list) else set(rows)
    table = all_structures()
    assert labels <= table.keys()
    assert len({one.colour for one in table.values()}) == len({one.tg263 for one in table.values()}) == len(table)
    assert all(0 < len(one.tg263) <= 16 for one in table.values())
