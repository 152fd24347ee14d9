"""The awkward cases: each is an everyday oddity that some tool gets wrong without a word."""

import io
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from benchmarks.peers.cases import (
    SHAPE,
    SPACING_MM,
    STEP_MM,
    Case,
    Draft,
    Volume,
    at,
    even,
    offset_hu,
    stored_values,
)
from benchmarks.peers.dicom import Contour, Series, decimals, save, slice_dataset, uid, write_series
from benchmarks.peers.multi_frame import join_frames

TILT_DEG = 15
PLAIN = "plain"


def make(root: Path) -> list[Case]:
    """Write all cases below `root`; the first is an ordinary one, to compare with."""
    cases = [draft.write(root) for draft in (*_spacing(), *_orientation(), *_files(), *_structs(), *_contours())]
    return [*cases, *(made(root) for made in (_duplicate, _truncated, _localizer, _two_series, _multi_frame))]


def _spacing() -> list[Draft]:
    uneven = np.concatenate([np.arange(14) * 3.0, 39 + 6.0 * np.arange(1, 9)])
    missing = np.delete(np.arange(30) * STEP_MM, (13, 14))
    jitter = np.arange(40) * 2.0
    jitter[1:] += 0.02
    return [
        Draft(PLAIN, "nothing: an ordinary case"),
        Draft("gaps", "slices 3 mm apart, then 6 mm", at("gaps", uneven)),
        Draft("missing", "two neighbouring slices missing", at("missing", missing)),
        Draft("jitter", "the first of 39 gaps 0.02 mm wider", at("jitter", jitter)),
    ]


def _orientation() -> list[Draft]:
    angle = np.radians(TILT_DEG)
    tilted = Series("tilt", SHAPE[:2], SPACING_MM, even("tilt").positions_mm, _turned(0, angle))
    sagittal = np.column_stack([(0, 1, 0), (0, 0, -1), (-1, 0, 0)]).astype(float)
    down = even("descending", axes=np.diag([1.0, 1.0, -1.0]))
    return [
        Draft("tilt", f"gantry tilt of {TILT_DEG} degrees", tilted),
        Draft("non-square", "96 x 64 pixels of 1.5 x 1.2 mm", even("non-square", (96, 64, 30), (1.5, 1.2)),
              spheres=(("Lung-Left", (45, 38, 40), 27, 0), ("Lung-Right", (98, 40, 45), 20, 0))),
        Draft("descending", "slices numbered from the head down", down,
              spheres=(("Lung-Left", (45, 60, -40), 27, 0), ("Lung-Right", (98, 70, -45), 20, 0))),
        Draft("prone", "prone: rows and columns run backwards",
              even("prone", axes=np.diag([-1.0, -1.0, 1.0]), tags={"PatientPosition": "HFP"})),
        Draft("sagittal", "sagittal slices", even("sagittal", axes=sagittal)),
        Draft("oblique", "planes turned by 10 and 20 deg", even("oblique", axes=_turned(0, 0.17) @ _turned(2, 0.35))),
    ]  # fmt: skip


def _files() -> list[Draft]:
    def rescaled(series: Series, k: int) -> np.ndarray:
        return stored_values(series, k, offset_hu(series)) - 10 * k + 300

    def intercept(data: Dataset, k: int) -> Dataset:
        data.RescaleIntercept = str(-1024 + 10 * k - 300)
        return data

    def jpeg(data: Dataset, k: int) -> Dataset:
        from PIL import Image

        values = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns)
        stream = io.BytesIO()
        Image.fromarray((values >> 4).astype(np.uint8)).save(stream, "JPEG", quality=95)
        data.PixelData = encapsulate([stream.getvalue()])
        data["PixelData"].is_undefined_length = True
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        return data

    return [
        Draft("rescale", "another RescaleIntercept on each slice", stored=rescaled, edit_slice=intercept, in_hu=True),
        Draft("jpeg8", "8-bit baseline JPEG of 12-bit pixels", edit_slice=jpeg, in_hu=True),
    ]


def _structs() -> list[Draft]:
    def shuffle(data: Dataset) -> None:
        data.StructureSetROISequence = list(data.StructureSetROISequence)[::-1]

    def other_frame(data: Dataset) -> None:
        frame = uid("elsewhere")
        data.FrameOfReferenceUID = data.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = frame
        for roi in data.StructureSetROISequence:
            roi.ReferencedFrameOfReferenceUID = frame

    same = (("GTV", (45, 60, 40), 17, 0), ("GTV", (98, 70, 45), 20, 0))
    evil = (("../../evil", (45, 60, 40), 27, 0), ("Lung-Right", (98, 70, 45), 20, 0))
    both = ("Lung-Left", "Lung-Right")
    return [
        Draft("order", "ROIs listed in another order than their contours", edit_struct=shuffle),
        Draft("same-name", "two ROIs of one name", spheres=same),
        Draft("evil-name", "a ROI called `../../evil`", spheres=evil),
        Draft("other-frame", "an RTSTRUCT of another frame of reference", edit_struct=other_frame, absent=both),
    ]


def _contours() -> list[Draft]:
    def malformed(name: str, contours: list[Contour]) -> list[Contour]:
        if name == "Lung-Left":
            text = "\\".join(decimals(np.round(contours[8].points_mm, 4))[:-1]).encode()
            contours[8] = Contour(contours[8].k, text)
        return contours

    def dot(name: str, contours: list[Contour]) -> list[Contour]:
        return contours[len(contours) // 2 :][:1] if name == "Dot" else contours

    edge = (("Lung-Left", (8, 50, 10), 27, 0), ("Lung-Right", (98, 70, 45), 20, 0))
    holes = (("Lung-Left", (45, 60, 40), 27, 19), ("Lung-Right", (98, 70, 45), 20, 0))
    dots = (("Dot", (30.75, 45.75, 30), 0.4, 0), ("Lung-Right", (98, 70, 45), 20, 0))
    return [
        Draft("malformed", "one contour a number short", edit_contours=malformed, enough={"Lung-Left": 0.9}),
        Draft("edge", "contours across the edge and below the first slice", spheres=edge, beyond=6),
        Draft("holes", "holes as contours of their own", spheres=holes, enough={"Lung-Left": 0.9}),
        Draft("sub-pixel", "a contour around no pixel centre", spheres=dots, edit_contours=dot, absent=("Dot",)),
    ]


def _multi_frame(root: Path) -> Case:
    case = Draft("multi-frame", "enhanced multi-frame CT").write(root)
    folder = root / case.name / "ct"
    slices = [dcmread(path) for path in sorted(folder.iterdir())]
    joined = join_frames(sorted(slices, key=lambda data: float(data.ImagePositionPatient[2])))
    for path in folder.iterdir():
        path.unlink()
    save(joined, folder / "ct.dcm")
    return case


def _two_series(root: Path) -> Case:
    case = Draft("two-series", "two series of one study in one folder").write(root)
    first = even(case.name)
    second = Series(case.name, first.shape_ij, first.spacing_mm, first.positions_mm + np.array((0, 0, 1.5)), name="ct2")
    offset = case.volumes[0].offset_hu + 200
    write_series(root / case.name / "ct", second, lambda k: stored_values(second, k, offset))
    return Case(case.name, case.trap, (*case.volumes, Volume(offset, second)), case.rois)


def _localizer(root: Path) -> Case:
    case = Draft("localizer", "a localizer in the folder").write(root)
    coronal = np.column_stack([(1, 0, 0), (0, 0, -1), (0, 1, 0)]).astype(float)
    series = even(case.name, (96, 64, 2), axes=coronal, name="scout")
    data = slice_dataset(series, 0, np.full((96, 64), 700))
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(data, root / case.name / "ct" / "ct-0000a.dcm")
    return case


def _duplicate(root: Path) -> Case:
    case = Draft("duplicate", "one slice twice, under two UIDs").write(root)
    path = sorted((root / case.name / "ct").iterdir())[12]
    data = dcmread(path)
    data.SOPInstanceUID = uid(case.name, "copy")
    save(data, path.with_name("ct-copy.dcm"))
    return case


def _truncated(root: Path) -> Case:
    case = Draft("truncated", "one file cut off in its pixels", in_hu=True).write(root)
    path = sorted((root / case.name / "ct").iterdir())[11]
    path.write_bytes(path.read_bytes()[:-9000])
    return case


def _turned(axis: int, angle: float) -> np.ndarray:
    matrix = np.eye(3)
    a, b = [n for n in range(3) if n != axis]
    matrix[[a, b], [a, b]] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix
