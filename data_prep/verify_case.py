"""One case of a prepared folder: its files against its entry in dataset.json, its masks against its image."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.dataset import CASE_FILE, is_radiograph
from data_prep.verify_nifti import SAME_PLACE_MM, Nifti, apart_mm, header_problems, parse_nifti

# Keys, without case and punctuation, under which something identifying could stand.
FORBIDDEN = re.compile(
    r"patients?name|.*birth(date|name|time)|.*address|.*institution.*|.*physician.*|operatorsname|.*comments?"
    r"|accessionnumber|otherpatientids?|(study|series|acquisition|content)(date|time)"
)
IMAGE_DTYPES = ("int16", "float32")
WHOLE_FOLDER = {"group", "flags"}  # what depends on other cases too, and stands in dataset.json alone
VOLUME_ML = 0.001  # what rounding to three decimals hides


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. case, file: where, None for what belongs to none."""

    case: str | None
    file: str | None
    what: str


def forbidden_keys(content: Any) -> set[str]:
    """The keys in `content` (of JSON, at any depth) under which something identifying would stand."""
    found: set[str] = set()
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found |= {key for key in one if FORBIDDEN.fullmatch(re.sub(r"[\W_]+", "", key).casefold())}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def check_case(out: Path, case: Mapping[str, Any]) -> tuple[list[Problem], Counter[str]]:
    """What is wrong with one case of dataset.json and its folder, and how much was looked at."""
    check = _CaseCheck(out, case)
    try:
        check.run()
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        check.note(None, f"its entry in dataset.json is damaged ({type(error).__name__})")
    return check.problems, check.checked


@dataclass
class _CaseCheck:
    """The checks of one case, which share what they found."""

    out: Path
    case: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        case, folder = self.case, self.out / self.case["id"]
        self.checked["cases"] += 1
        if is_radiograph(case):  # no grid to compare: the hashes, what is there, what is recorded
            for file in self._named():
                self._bytes(f"{case['id']}/{file}")
            self._extra(folder)
            return self._record(folder)
        image = self._volume(case["image"])
        if image is not None:
            self._image(image)
        for roi in case["rois"]:
            self._roi(roi, image)
        for name in (case.get("files") or {}).keys() - self._named():
            self._bytes(f"{case['id']}/{name}")
        self._extra(folder)
        return self._record(folder)

    def note(self, file: str | None, what: str) -> None:
        self.problems.append(Problem(self.case["id"], file, what))

    def _named(self) -> set[str]:
        """Paths below the case's folder that image and ROIs name."""
        rois = self.case["rois"]
        files = [self.case["image"], *(roi["file"] for roi in rois), *(roi.get("coverage_file") for roi in rois)]
        return {str(file).removeprefix(f"{self.case['id']}/") for file in files if file}

    def _bytes(self, file: str) -> bytes | None:
        """The file's content, its hash compared; None with a problem noted."""
        path = self.out / file
        if not path.resolve().is_relative_to(self.out.resolve()):
            self.note(file, "is a link out of the folder")
            return None
        try:
            content = path.read_bytes()
        except OSError as error:
            self.note(file, "is missing" if isinstance(error, FileNotFoundError) else f"{error.strerror}")
            return None
        self.checked["files"] += 1
        hashes = self.case.get("files")
        if not isinstance(hashes, Mapping):
            return content  # made before files were hashed
        wanted = hashes.get(file.removeprefix(f"{self.case['id']}/"))
        self.checked["hashes"] += 1
        if wanted is None:
            self.note(file, "has no hash in dataset.json")
        elif hashlib.sha256(content).hexdigest() != wanted:
            self.note(file, "was changed: its SHA-256 is not the one in dataset.json")
        return content

    def _volume(self, file: str) -> Nifti | None:
        if not file.startswith(f"{self.case['id']}/"):
            self.note(file, f"does not lie in the folder {self.case['id']} of its case")
        content = self._bytes(file)
        if content is None:
            return None
        nifti = parse_nifti(content)
        if isinstance(nifti, str):
            self.note(file, nifti)
            return None
        self.checked["voxels"] += nifti.voxels.size
        for what in header_problems(nifti):
            self.note(file, what)
        return nifti

    def _image(self, image: Nifti) -> None:
        from nibabel.orientations import aff2axcodes

        case, file = self.case, self.case["image"]
        if list(image.shape) != case["shape"]:
            self.note(file, f"has shape {list(image.shape)}; dataset.json says {case['shape']}")
        spacing = np.linalg.norm(image.affine_ras[:3, :3], axis=0)
        if np.abs((spacing - case["spacing_mm"]) * image.shape).max() > SAME_PLACE_MM:
            self.note(file, f"has voxels of {spacing.round(6).tolist()} mm; dataset.json says {case['spacing_mm']}")
        if "".join(map(str, aff2axcodes(image.affine_ras))) != case["orientation"]:
            self.note(file, f"is not oriented {case['orientation']}, as dataset.json says")
        stated = (case.get("source") or {}).get("affine_lps")
        if stated is not None:
            ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(stated, float)
            if not apart_mm(ras, image.affine_ras, image.shape) <= SAME_PLACE_MM:
                self.note(file, "lies elsewhere than source.affine_lps in dataset.json says")
        if image.voxels.dtype.name not in IMAGE_DTYPES:
            self.note(file, f"holds {image.voxels.dtype}; wanted int16 or float32")
        elif image.voxels.dtype.kind == "f" and not np.isfinite(image.voxels).all():
            self.note(file, "holds voxels that are no numbers")

    def _roi(self, roi: Mapping[str, Any], image: Nifti | None) -> None:
        if (roi["file"] is None) == (roi["status"] == "ok"):
            self.note(
                roi["file"], f"ROI {roi.get('number')}: status {roi['status']!r} and the file contradict each other"
            )
        planes = roi.get("planes") or {}
        if planes and planes.get("in") != planes.get("rasterised", 0) + planes.get("skipped", 0):
            self.note(roi["file"], f"ROI {roi.get('number')}: `in` is not `rasterised` + `skipped`")
        for file in (roi["file"], roi.get("coverage_file")):
            volume = self._volume(file) if file else None
            if volume is None:
                continue
            if image is not None and volume.shape != image.shape:
                self.note(file, f"has shape {list(volume.shape)}, its image {list(image.shape)}")
            elif image is not None and (off := apart_mm(volume.affine_ras, image.affine_ras, image.shape)) > 0:
                self.note(file, f"lies {off:.4g} mm off its image")
            if file == roi["file"]:
                self._mask(roi, volume)

    def _mask(self, roi: Mapping[str, Any], mask: Nifti) -> None:
        if mask.voxels.dtype != np.uint8 or mask.voxels.max(initial=0) > 1:
            return self.note(
                roi["file"], f"is no mask: {mask.voxels.dtype} up to {mask.voxels.max(initial=0)}; wanted 0/1"
            )
        ml = np.count_nonzero(mask.voxels) * abs(float(np.linalg.det(mask.affine_ras[:3, :3]))) / 1000
        stated = (roi.get("volume_ml") or {}).get("voxel")
        if not ml:
            self.note(roi["file"], "is empty, which would read as `there is none`")
        elif stated is not None and not abs(ml - stated) <= VOLUME_ML + 1e-5 * ml:
            self.note(roi["file"], f"holds {ml:.3f} ml; dataset.json says {stated}")
        return None

    def _extra(self, folder: Path) -> None:
        known = {*(self.case.get("files") or {}), *self._named(), CASE_FILE}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not path.is_dir() and name not in known:
                self.note(f"{self.case['id']}/{name}", "is not named in dataset.json")

    def _record(self, folder: Path) -> None:
        """case.json has to say the same as dataset.json."""
        file = f"{self.case['id']}/{CASE_FILE}"
        if not (folder / CASE_FILE).exists() and "files" not in self.case:
            return  # not made by dicom2nifti
        try:
            record = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
            there = record["case"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            return self.note(file, f"is missing or damaged ({type(error).__name__})")
        for key in sorted(forbidden_keys(record)):
            self.note(file, f"holds the key {key}, which must not be written")
        whole = WHOLE_FOLDER if is_radiograph(self.case) else set()
        keys = [key for key in {**there, **self.case} if key not in whole and there.get(key) != self.case.get(key)]
        if keys:
            self.note(file, f"contradicts dataset.json in {', '.join(sorted(keys))}")
        return None
