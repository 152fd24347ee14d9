"""What a tool does with a case: right, refused, lost or wrong, and how far, judged from its files alone."""

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError

from benchmarks.peers.cases import SLOPE_HU, Case, Roi, Volume
from benchmarks.peers.judge import MaskScore, Written, plain, read, score_image, score_mask
from benchmarks.peers.measure import Taken, run
from benchmarks.peers.registry import Tool

LIMIT_S = 180.0
WRONG_SHARE = 0.01  # of an image's voxels
LOCALIZER = 2  # slices; a file of its own with no more is a localizer's
OFF_MM = 1.0  # between centres of mass: more than rounding does
COVERED = (0.95, 1.1)  # of a series' volume; resampling may move the ends by half a step
KINDS = ("right", "refused", "lost", "wrong")  # from best to worst
COMPLAINT = re.compile(
    r"warn|error|exception|refus|skip|ignor|missing|drop|invalid|incorrect|inconsist|not |fail|unable|differ|tilt", re.I
)


@dataclass(frozen=True)
class Mark:
    """kind: right; refused (not made, and said so); lost (not made, nothing said); wrong (made, and not the truth).

    said: whether it complained.
    """

    kind: str
    detail: str = ""
    said: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of one case. image, masks: None where the tool does not make them. scores: by ROI."""

    tool: str
    case: str
    image: Mark | None
    masks: Mark | None
    scores: dict[str, MaskScore]


def run_all(tools: Sequence[Tool], cases: Sequence[Case], root: Path, work: Path, jobs: int) -> list[Outcome]:
    """Run each tool on each case, `jobs` at a time. The first case is the ordinary one that complaints are compared to.

    What a tool says on every case is no complaint about this one.
    """
    with ThreadPoolExecutor(jobs) as pool:
        usual = dict(
            zip(
                [tool.name for tool in tools],
                pool.map(lambda tool: _lines(_run(tool, cases[0], root, work).said), tools),
                strict=True,
            )
        )
        pairs = [(tool, case) for case in cases for tool in tools]
        return list(pool.map(lambda pair: _outcome(*pair, root, work, usual[pair[0].name]), pairs))


def _outcome(tool: Tool, case: Case, root: Path, work: Path, usual: set[str]) -> Outcome:
    taken = _run(tool, case, root, work)
    said = taken.code != 0 or any(COMPLAINT.search(line) for line in _lines(taken.said) - usual)
    folder = _folder(tool, case, work)
    out = folder / "a" / "b" / "out"
    image = masks = None
    scores: dict[str, MaskScore] = {}
    if tool.makes("image"):
        image = judge_images(_read_all(out, tool.module.IMAGES), case, said)
    if tool.makes("masks"):
        masks, scores = judge_masks(_read_all(out, tool.module.MASKS), case.rois, said)
        strays = [
            path for path in folder.rglob("*") if path.is_file() and out not in path.parents and path.suffix != ".txt"
        ]
        if strays:
            masks = Mark("wrong", "writes outside its folder", said)
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(tool.name, case.name, image, masks, scores)


def _folder(tool: Tool, case: Case, work: Path) -> Path:
    return work / plain(tool.name) / case.name


def _run(tool: Tool, case: Case, root: Path, work: Path) -> Taken:
    """Two folders above OUT belong to this run, so that what climbs out of OUT is found."""
    folder = _folder(tool, case, work)
    shutil.rmtree(folder, ignore_errors=True)
    out = folder / "a" / "b" / "out"
    out.mkdir(parents=True)
    return run(tool.judged(root / case.name, out), folder / "log.txt", LIMIT_S)


def _lines(said: str) -> set[str]:
    """Without numbers and paths, which differ from case to case."""
    return {re.sub(r"[\d.]+|/\S+", "#", line).strip() for line in said.splitlines()}


def _read_all(out: Path, pattern: str) -> list[Written | str]:
    """What it wrote; for a file that can't be read as a volume, why."""
    volumes: list[Written | str] = []
    for path in sorted(out.glob(pattern)) if pattern else []:
        if path.is_dir() or path.suffix == ".json":
            continue
        try:
            volumes.append(read(path))
        except (RuntimeError, ValueError, OSError, ImageFileError) as error:
            volumes.append(str(error).strip().rpartition("\n")[2][:60])
    return volumes


def judge_images(images: Sequence[Written | str], case: Case, said: bool) -> Mark:
    """All series of the case must be there, each whole, and no other but a localizer for itself."""
    if not images:
        return Mark("refused" if said else "lost", "", said)
    found, off = set(), []
    for image in images:
        if isinstance(image, str):
            off.append(f"no volume: {image}")
            continue
        problems = [_image_problem(image, volume, case.in_hu) for volume in case.volumes]
        if None in problems:
            found.add(problems.index(None))
        elif image.array.shape[2] > LOCALIZER or len(images) == 1:
            off.append(min(filter(None, problems), key=len))
    if off:
        return Mark("wrong", off[0] + (" (another file is right)" if found else ""), said)
    if len(found) < len(case.volumes):
        return Mark("refused" if said else "lost", f"{len(found)} of {len(case.volumes)} series", said)
    return Mark("right", "", said)


def _image_problem(image: Written, volume: Volume, in_hu: bool) -> str | None:
    score = score_image(image, volume, SLOPE_HU)
    if score.covered == 0:
        return "elsewhere altogether"
    if score.wrong > WRONG_SHARE:
        far = score.off_mm * float(np.linalg.norm(SLOPE_HU))
        return f"{far:.0f} HU off" if in_hu else f"{score.off_mm:.1f} mm off"
    if not COVERED[0] <= score.covered <= COVERED[1]:
        return f"holds {score.covered:.0%} of the volume"
    return None


def judge_masks(masks: Sequence[Written | str], rois: Sequence[Roi], said: bool) -> tuple[Mark, dict[str, MaskScore]]:
    """Each ROI must be there under its name; of several files and ROIs of one name those go together that fit best."""
    found = [mask for mask in masks if isinstance(mask, Written)]
    scores = {
        (n, m): score_mask(mask, roi.inside, roi.reference_mm3)
        for n, roi in enumerate(rois)
        for m, mask in enumerate(found)
        if roi.inside is not None and plain(roi.name) in plain(mask.name)
    }
    chosen: dict[int, int] = {}
    for n, m in sorted(scores, key=lambda pair: -scores[pair].dice):
        if n not in chosen and m not in chosen.values():
            chosen[n] = m
    marks = []
    for n, roi in enumerate(rois):
        if roi.inside is None:
            drawn = any(mask.array.any() for mask in found if plain(roi.name) in plain(mask.name))
            marks.append(Mark("wrong", f"{roi.name} drawn all the same", said) if drawn else Mark("right"))
        elif n not in chosen:
            marks.append(Mark("refused" if said else "lost", roi.name, said))
        else:
            score = scores[n, chosen[n]]
            right = score.dice >= roi.enough and not score.off_mm > OFF_MM
            far = _how_far(roi, score, found[chosen[n]])
            marks.append(Mark("right") if right else Mark("wrong", far, said))
    worst = max(marks, key=lambda mark: KINDS.index(mark.kind))
    return worst, {rois[n].name: scores[n, m] for n, m in chosen.items()}


def _how_far(roi: Roi, score: MaskScore, mask: Written) -> str:
    if not mask.array.any():
        return f"{roi.name} empty"
    off = f", {score.off_mm:.1f} mm off" if score.off_mm > OFF_MM else ""
    return f"{roi.name} Dice {score.dice:.2f}, volume {score.volume_error:+.0%}{off}"
