"""A made chest through every backend there is: each must find the lungs, and all the same ones."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import LungsegError
from lungseg_monai.segment.image import Image

SAME_DICE, RIGHT_DICE = 0.999, 0.8  # among backends; against the truth, which any usable network passes
SPACING_MM = (4.0, 4.0, 4.0)


def self_test(backends: list[dict[str, Any]], bundles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each bundle and backend, on the CPU: bundle, backend, seconds, dice_truth, dice_others (lowest), problem."""
    found = []
    image, truth = made_chest()
    for bundle in bundles:
        files = {file["name"] for file in bundle["files"]}
        labels: dict[str, NDArray[np.uint8]] = {}
        for backend in backends:
            if not backend["installed"] or not _has_file(backend["name"], files):
                continue
            told, made = _run(bundle["name"], backend["name"], image, truth)
            if made is not None:
                others = [both_sides(made, other) for other in labels.values()]
                told["dice_others"] = min(others, default=None)
                labels[backend["name"]] = made
                if told["dice_others"] is not None and told["dice_others"] < SAME_DICE:
                    told["problem"] = f"its mask differs from another backend's: Dice {told['dice_others']:.4f}"
            found.append(told)
    return found


def both_sides(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The lower Dice of right and left lung; 1 where a side is empty in both."""
    scores = []
    for side in (1, 2):
        a, b = one == side, other == side
        total = int(a.sum()) + int(b.sum())
        scores.append(2 * int((a & b).sum()) / total if total else 1.0)
    return round(min(scores), 5)


def _has_file(backend: str, files: set[str]) -> bool:
    from lungseg_monai.segment.backends import KINDS

    return KINDS[backend].file in files


def made_chest() -> tuple[Image, NDArray[np.uint8]]:
    """A phantom, and its lungs: 1 the right one, 2 the left one."""
    from data_prep.phantom import PhantomOptions, make_patient

    patient = make_patient(7, 1, PhantomOptions(spacing_mm=SPACING_MM))
    truth = patient.truth_mask("Lung-Right") + 2 * patient.truth_mask("Lung-Left")
    return Image(patient.volume_hu(), patient.grid.affine_ras), truth.astype(np.uint8)


def _run(
    bundle: str, backend: str, image: Image, truth: NDArray[np.uint8]
) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    from lungseg_monai.segment import models

    told: dict[str, Any] = {"bundle": bundle, "backend": backend, "seconds": None}
    told |= {"dice_truth": None, "dice_others": None, "problem": None}
    began = time.perf_counter()
    try:
        model = models.open_model(bundle, backend=backend, device="cpu")
        labels = model.segment(image).labels_ijk
    except LungsegError as error:
        return told | {"problem": str(error)}, None
    except Exception as error:  # noqa: BLE001  # whatever a backend does here is what was asked for
        return told | {"problem": f"it broke ({type(error).__name__}): {error}"}, None
    told |= {"seconds": round(time.perf_counter() - began, 2), "dice_truth": both_sides(labels, truth)}
    if told["dice_truth"] < RIGHT_DICE:
        told["problem"] = f"it does not find the lungs of a made chest: Dice {told['dice_truth']:.3f}"
    return told, labels
