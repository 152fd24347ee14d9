import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segmented import case_facts, phantom, write_segment_json

from data_prep.nifti import write_nifti
from lungseg_monai.report.segmentation import write_report
from lungseg_monai.report.segmentation.merge import read_merged
from lungseg_monai.report.segmentation.read import read_segmentation
from lungseg_monai.report.segmentation.stills import OTHER, draw


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A case with lungs and a tumour in the right one, and one with a tumour alone."""
    hu, lungs, affine = phantom(0)
    place = np.argwhere(lungs == 1)[len(np.argwhere(lungs == 1)) // 2]
    tumor = np.zeros_like(lungs)
    tumor[tuple(slice(one - 2, one + 3) for one in place)] = 1
    masks: dict[str, dict[str, Any]] = {
        "both": {"tumor": {"1": "gtv"}, "lungs": {"1": "lung_right", "2": "lung_left"}},
        "alone": {"tumor": {"1": "gtv"}},
    }
    for name, named in masks.items():
        facts = case_facts(name, lungs, affine, 0.9) | {"masks": named, "labels": {"1": "gtv"}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.json").write_text(json.dumps(facts))
        write_nifti(tmp_path / name / "preview" / "ct.nii.gz", np.clip(hu, -1024, 600), affine)
        for stem in named:
            write_nifti(tmp_path / name / "preview" / f"{stem}.nii.gz", {"tumor": tumor, "lungs": lungs}[stem], affine)
    entry = {"status": "done", "flags": [], "error": None, "seconds": 1.0}
    return write_segment_json(tmp_path, {name: entry | {"folder": name} for name in masks})


def test_tumours_lie_on_top_of_lungs_which_keep_their_colours(out: Path) -> None:
    cases = {case.name: case for case in read_segmentation(out).cases}
    _, lungs, _ = phantom(0)
    preview, labels = read_merged(cases["both"])
    assert preview is not None
    assert labels == {"1": "lung_right", "2": "lung_left", "3": "gtv"}
    assert (preview.labels == 3).sum() == 125
    rest = preview.labels != 3
    np.testing.assert_array_equal(preview.labels[rest], lungs[rest])
    alone, labels = read_merged(cases["alone"])
    assert alone is not None
    assert labels == {"3": "gtv"}
    assert set(np.unique(alone.labels)) == {0, 3}


def test_stills_are_cut_through_the_tumour(out: Path) -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    cases = {case.name: case for case in read_segmentation(out).cases}
    preview, _ = read_merged(cases["both"])
    assert preview is not None
    still = draw(preview).still
    pixels = np.asarray(Image.open(BytesIO(b64decode(still.partition(",")[2]))).convert("RGB"))
    drawn = (pixels == OTHER).all(axis=-1)
    rows, columns = drawn.shape
    assert drawn[: rows // 2, : columns // 2].any()  # axial
    assert drawn[: rows // 2, columns // 2 :].any()  # coronal
    assert drawn[rows // 2 :, : columns // 2].any()  # sagittal


def test_the_page_knows_all_labels(out: Path) -> None:
    text = write_report(out).read_text(encoding="utf-8")
    found = re.search(r'id="report">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    entries = {case["name"]: case for case in json.loads(found[1])["cases"]}
    assert entries["both"]["facts"]["labels"] == {"1": "lung_right", "2": "lung_left", "3": "gtv"}
    assert entries["alone"]["facts"]["labels"] == {"3": "gtv"}
