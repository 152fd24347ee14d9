"""A folder as `lungseg segment` writes it, made without a network: phantoms, their lungs, and odd cases."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.nifti import write_nifti
from data_prep.phantom import PhantomOptions, make_patient

LABELS = {"1": "lung_right", "2": "lung_left"}
LPS_FROM_RAS = np.diag([-1.0, -1, 1, 1])


@cache
def phantom(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """hu int16 and labels uint8 (I, J, K), affine_ras: 1 is the patient's right lung, 2 the left one."""
    patient = make_patient(7, number + 1, PhantomOptions(spacing_mm=(4.0, 4.4, 5.0)))
    labels = np.where(patient.truth_mask("Lung-Right"), 1, np.where(patient.truth_mask("Lung-Left"), 2, 0))
    return patient.volume_hu(), labels.astype(np.uint8), LPS_FROM_RAS @ patient.grid.affine_lps


def flag(code: str, what: str, severity: str = "check") -> dict[str, str]:
    return {"code": code, "what": what, "severity": severity}


def case_facts(name: str, labels: np.ndarray, affine: np.ndarray, confidence: float) -> dict[str, Any]:
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    rois = {roi: round(float((labels == int(label)).sum() * voxel_ml), 2) for label, roi in LABELS.items()}
    return {
        "case": name,
        "status": "done",
        "image": {"kind": "dicom", "shape_ijk": [512, 512, 120], "spacing_mm": [0.7, 0.7, 2.5], "orientation": "LPS"},
        "outputs": {"nifti": "lungs.nii.gz"},
        "labels": LABELS,
        "volumes_ml": rois,
        "hu": {roi: {"mean": -812.4, "p15": -921.0, "below_950_percent": 3.21} for roi in rois},
        "confidence": {"lung_right": confidence, "lung_left": min(confidence + 0.02, 1.0)},
        "flags": [],
        "timings_s": {"read": 0.61, "network": 1.02, "write": 0.33},
        "versions": {"lungseg-monai": "0.2.0"},
        "hashes": {"input": "0" * 64, "weights": "abc123" * 10, "outputs": {"lungs.nii.gz": f"hash of {name}"}},
    }


def write_case(
    out: Path,
    name: str,
    number: int | None,
    confidence: float = 0.99,
    flags: tuple[Mapping[str, str], ...] = (),
    uncertain: bool = False,
) -> dict[str, Any]:
    """One case's folder (number: of the phantom, None for a case without preview) and its entry in segment.json.

    uncertain: as after --uncertainty, half the left lung's height at 45 percent.
    """
    folder = f"case-{len(list(out.glob('case-*'))):02}"
    hu, labels, affine = phantom(number or 0)
    facts = case_facts(name, labels, affine, confidence) | {"flags": list(flags)}
    (out / folder).mkdir(parents=True)
    if uncertain:
        roi = {"border_percent": 12.5, "flip_percent": 31.0, "dice": 0.876, "ragged": 1.31}
        facts["uncertainty"] = {"answers": 6, "changes": ["mirrored"], "rois": dict.fromkeys(LABELS.values(), roi)}
        spread = np.where(labels == 2, 45, 0).astype(np.uint8)
        spread[:, :, spread.shape[2] // 2 :] = 0
        write_nifti(out / folder / "preview" / "uncertainty.nii.gz", spread, affine)
    (out / folder / "case.json").write_text(json.dumps(facts))
    if number is not None:
        write_nifti(out / folder / "preview" / "ct.nii.gz", np.clip(hu, -1024, 600), affine)
        write_nifti(out / folder / "preview" / "lungs.nii.gz", labels, affine)
    return {"status": "done", "folder": folder, "flags": list(flags), "error": None, "seconds": 2.34}


def write_segment_json(out: Path, cases: Mapping[str, Any]) -> Path:
    content = {
        "schema": "1.0",
        "versions": {"lungseg-monai": "0.2.0", "openvino": "2026.4.1"},
        "model": {"bundle": "ct_lungs", "version": "1.0.0", "weights_sha256": "abc123" * 10, "backend": "openvino"},
        "settings": {"vessels": "in"},
        "cases": cases,
    }
    (out / "segment.json").write_text(json.dumps(content))
    return out


def make_segmentation(out: Path) -> Path:
    """Cases of every kind; in the order of looking: alarm, broken, unsure, refused, calm, sure."""
    out.mkdir(parents=True)
    failed = {"status": "failed", "folder": "case-broken", "flags": [], "error": "slice 7 of 120 can't be decoded"}
    refused = {"status": "refused", "folder": "case-mr", "flags": [], "error": "a CT was wanted, this is an MR series"}
    return write_segment_json(
        out,
        {
            "sure": write_case(out, "sure", 0, 0.998),
            "calm": write_case(out, "calm", 1, 0.91),
            "mr": refused | {"seconds": 0.2},
            "unsure": write_case(out, "unsure", 2, 0.7, (flag("cut", "The lungs touch the image's edge."),)),
            "broken": failed | {"seconds": 0.1},
            "alarm": write_case(
                out,
                "alarm",
                1,
                0.95,
                (flag("sides", "Left and right may be swapped.", "alarm"), flag("x", "Small.", "note")),
                uncertain=True,
            ),
        },
    )
