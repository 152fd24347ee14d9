"""From a prepared folder to the page: no case costs another, nothing is fetched, no name gets out of its quotes."""

import argparse
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.commands import qc as command
from data_prep.contour_file import write_contours
from data_prep.dataset import write_dataset
from data_prep.errors import DatasetError, UsageError
from data_prep.geometry import LPS_TO_RAS
from data_prep.nifti import write_nifti
from data_prep.qc.flags import SEVERITIES
from data_prep.qc.run import qc

SHAPE, SPACING = (80, 60, 24), (4.0, 5.0, 5.0)
HOSTILE = '<script>alert("x")</script>&amp;\'"><img src=x onerror=alert(1)>'
INDICES = np.ogrid[:80, :60, :24]
CENTRES = {"lung_left": (57, 28), "lung_right": (23, 28), "gtv": (57, 30)}


def ball(label: str) -> np.ndarray:
    i, j = CENTRES[label]
    radii = (4, 4, 3) if label == "gtv" else (11, 15, 9)
    return sum(((n - m) / r) ** 2 for n, m, r in zip(INDICES, (i, j, 12), radii, strict=True)) < 1


def chest() -> np.ndarray:
    hu = np.full(SHAPE, -1000, np.int16)
    i, j, k = INDICES
    hu[((i - 40) / 37) ** 2 + ((j - 30) / 27) ** 2 + 0 * k < 1] = 30
    hu[(ball("lung_left") | ball("lung_right")) & ~ball("gtv")] = -850
    return hu


def write_case(out: Path, case: str, edit_hu=lambda hu: hu, edit_mask=lambda mask, label: mask) -> dict:
    affine = LPS_TO_RAS @ np.diag([*SPACING, 1.0])
    write_nifti(out / case / "image.nii.gz", np.asfortranarray(edit_hu(chest())), affine)
    rois = []
    for label in CENTRES:
        mask = ball(label) & ~(ball("gtv") if label != "gtv" else np.zeros(SHAPE, bool))
        mask = edit_mask(mask, label).astype(np.uint8)
        file = f"{case}/masks/{label}.nii.gz"
        write_nifti(out / file, np.asfortranarray(mask), affine)
        ml = round(float(mask.sum()) * np.prod(SPACING) / 1000, 3)
        planes = {"in": 9, "rasterised": 9, "clipped": 0, "moved": 0, "skipped": 0}
        rois.append({"name": f"My {label}", "label": label, "status": "ok", "reason": None, "file": file})
        rois[-1] |= {"planes": planes, "volume_ml": {"polygon": ml, "voxel": ml}, "flags": []}
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    ring = [np.column_stack([228 + 16 * np.cos(angle), 150 + 20 * np.sin(angle), 0 * angle + 5 * k]) for k in (11, 12)]
    write_contours(out / case / "contours.npz", {2: ring})
    entry = {"id": case, "patient_id": case, "status": "ok", "reason": None, "image": f"{case}/image.nii.gz"}
    entry |= {"modality": "CT", "shape": list(SHAPE), "spacing_mm": list(SPACING), "orientation": "LPS"}
    return entry | {"source": {"kernel": "B30f"}, "repairs": ["mended"], "flags": [], "rois": rois}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Eight cases, five of them broken on purpose, in a folder."""
    out = tmp_path_factory.mktemp("prepared folder")
    cases = [write_case(out, "a-good")]
    cases.append(write_case(out, "b-no-intercept", lambda hu: hu + np.int16(1024)))
    cases.append(write_case(out, "c-empty", edit_mask=lambda mask, label: mask & (label != "gtv")))
    cases.append(write_case(out, "d-outside", edit_mask=lambda m, label: np.roll(m, -28, 1) if label == "gtv" else m))
    swapped = write_case(out, "e-swapped")
    for roi, label in zip(swapped["rois"], ("lung_right", "lung_left"), strict=False):
        roi["label"] = label
    named = write_case(out, "f-hostile")
    named["rois"][0]["name"] = named["source"]["kernel"] = named["repairs"][0] = HOSTILE
    named["flags"] = [HOSTILE]
    cases += [swapped, named, write_case(out, "g-damaged"), write_case(out, "h-damaged-mask")]
    for file in ("g-damaged/image.nii.gz", "h-damaged-mask/masks/gtv.nii.gz"):
        content = (out / file).read_bytes()
        (out / file).write_bytes(content[: len(content) // 2])
    refused = [{"what": "series", "where": HOSTILE, "reason": "gaps", "uid_hash": None}]
    write_dataset(out, cases, refused, [{"where": "somewhere", "reason": "localizer", "files": 2}])
    return out


@pytest.fixture(scope="module")
def result(cohort):
    return qc(cohort, jobs=1)


def codes(result, case: str) -> set[str]:
    [found] = [one for one in result.content["cases"] if one["id"] == case]
    return {flag["code"] for flag in found["flags"]}


def test_each_broken_case_has_its_flag_and_the_good_one_none(result):
    assert codes(result, "a-good") == set()
    assert {"hu_rescale", "no_air"} <= codes(result, "b-no-intercept")
    assert codes(result, "c-empty") == {"mask_empty"}
    assert "tumour_outside" in codes(result, "d-outside")
    assert codes(result, "e-swapped") == {"lungs_swapped"}
    assert codes(result, "g-damaged") == codes(result, "h-damaged-mask") == {"unreadable"}
    assert result.damaged == ["g-damaged", "h-damaged-mask"] and result.measured == 7 and result.exit_code == 1


def test_worst_first_and_counted(result):
    worst = [case["worst"] for case in result.content["cases"]]
    assert result.content["cases"][0]["id"] == "g-damaged" and result.content["cases"][-1]["id"] == "a-good"
    assert [*SEVERITIES, None].index(worst[0]) == 0 and worst[1:] == sorted(worst[1:], key=[*SEVERITIES, None].index)
    assert result.content["counts"] == {"bad": 6, "look": 1, "note": 0, "clean": 1}
    assert json.loads(result.page.with_suffix(".json").read_text()) == json.loads(json.dumps(result.content))
    assert "8 case(s): 6 bad" in result.table() and "a-good  clean" in result.table()


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_self_contained_and_names_are_only_names(result):
    html = result.page.read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 1 and "img" not in tags and "link" not in tags and "iframe" not in tags
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert name not in attributes or attributes[name].startswith(("data:image/", "#case-")), (tag, attributes)
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert sum(HOSTILE in text for text in page.text) == 6  # flag twice, ROI, kernel, repair, refusal
    assert sum(attributes.get("title") == f"{HOSTILE}" for _, attributes in page.tags) == 1
    assert tags.count("article") == 8 and tags.count("dialog") == 1
    assert "not a medical device" in html and not re.search(r"\$[a-z]", html)  # no blank of the template left


def test_contours_and_masks_are_drawn(result):
    card = result.page.read_text().partition("<h3>a-good</h3>")[2]
    assert card.count('class="outline"') >= 2 and card.count('class="mask"') >= 4 and "<template><svg" in card


def test_processes_give_the_same_bytes(cohort, result, tmp_path):
    again = qc(cohort, page=tmp_path / "looks" / "page.html", jobs=3)
    assert again.page.read_bytes() == result.page.read_bytes()
    assert (tmp_path / "looks" / "page.json").read_bytes() == (cohort / "qc.json").read_bytes()


def test_a_missing_or_damaged_contour_file(cohort, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_dataset(out, [write_case(out, "a"), write_case(out, "b")], [])
    (out / "a" / "contours.npz").unlink()
    (out / "b" / "contours.npz").write_bytes(b"PK damaged")
    result = qc(out, jobs=1)
    assert codes(result, "a") == set() and codes(result, "b") == {"unreadable"}
    assert result.damaged == ["b"] and result.measured == 2


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    parsed = parser.parse_args(["qc", *arguments])
    return parsed.run(parsed)


def test_the_command(cohort, tmp_path, capsys):
    assert run(str(cohort), "--out", str(tmp_path / "x.html"), "--json", "--jobs", "2") == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "x.json").read_text()) and (tmp_path / "x.html").stat().st_size > 1e4
    with pytest.raises(UsageError, match="html"):
        run(str(cohort), "--out", str(tmp_path / "x.json"))
    with pytest.raises(DatasetError):
        run(str(tmp_path))
    for wrong in ("0", "-1", "many"):
        with pytest.raises(SystemExit):
            run(str(cohort), "--jobs", wrong)


def test_nothing_that_can_be_looked_at_is_exit_code_3(tmp_path):
    case = write_case(tmp_path, "a")
    write_dataset(tmp_path, [case], [])
    (tmp_path / case["image"]).unlink()
    assert run(str(tmp_path), "--quiet") == 3 and (tmp_path / "qc.html").exists()


SORT_AND_FILTER = """
const list = (what, text) => [...document.querySelectorAll(what)].map(text).join(",");
const ids = () => list("#cases tbody tr:not([hidden])", row => row.cells[1].textContent);
const cards = () => list(".card:not([hidden]) h3", head => head.textContent);
const out = [];
document.querySelectorAll("#cases th button")[1].click(); out.push(ids(), cards());
document.querySelectorAll("#cases th button")[1].click(); out.push(ids(), cards());
const box = document.querySelector("#filter");
const type = text => { box.value = text; box.dispatchEvent(new Event("input")); };
type("MASK_empty c-"); out.push(ids(), cards());
type("");
document.querySelector(".counts .clean").click(); out.push(ids(), cards());
document.querySelector(".counts .clean").click(); out.push(String(ids().split(",").length));
document.querySelector("#case-7 .picture").click();
const viewer = document.querySelector("#viewer");
const key = key => viewer.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const where = () => document.querySelector("#viewer-where").textContent;
out.push(where()); key("ArrowRight"); out.push(where());
for (let n = 0; n < 30; n++) key("ArrowRight");
out.push(where());
key("c"); out.push(document.body.className);
document.body.innerHTML = ""; document.title = JSON.stringify(out);
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_sorting_filtering_and_the_viewer_in_a_browser(result, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(result.page.read_text().replace("</body>", f"<script>{{{SORT_AND_FILTER}}}</script></body>"))
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += f" --disable-component-update --disable-sync --user-data-dir={tmp_path / 'profile'} --dump-dom"
    shown = subprocess.run(["chromium", *options.split(), f"file://{page}"], capture_output=True, timeout=60, text=True)
    out = json.loads(re.search(r"<title>(.*?)</title>", shown.stdout, re.DOTALL)[1].replace("&gt;", ">"))
    ascending = sorted(case["id"] for case in result.content["cases"])
    assert out[0].split(",") == out[1].split(",") == ascending
    assert out[2].split(",") == out[3].split(",") == ascending[::-1]
    assert out[4:9] == ["c-empty", "c-empty", "a-good", "a-good", "8"]
    assert out[9].startswith("axial, slice") and out[10] == "coronal" and out[11].startswith("axial, slice")
    assert "no-contours" in out[12]


def test_a_real_chest_is_clean_until_something_is_wrong_with_it(real_data, tmp_path):
    from data_prep.cli import main

    out = tmp_path / "out"
    (tmp_path / "salt").write_bytes(b"0" * 32)
    source = real_data / "nsclc-radiomics" / "LUNG1-001"
    assert main(["dicom2nifti", str(source), str(out), "--quiet", "--salt-file", str(tmp_path / "salt")]) == 0
    assert codes(qc(out, jobs=1), "LUNG1-001") == set()
    dataset = json.loads((out / "dataset.json").read_text())
    [case] = dataset["cases"]
    [gtv] = [roi for roi in case["rois"] if roi["label"] == "gtv"]
    image = nib.load(out / gtv["file"])
    write_nifti(out / gtv["file"], np.roll(np.asanyarray(image.dataobj), 200, axis=1), image.affine)
    for roi in case["rois"]:
        roi["label"] = {"lung_left": "lung_right", "lung_right": "lung_left"}.get(roi["label"], roi["label"])
    (out / "dataset.json").write_text(json.dumps(dataset))
    assert {"tumour_outside", "lungs_swapped"} <= codes(qc(out, jobs=1), "LUNG1-001")


NOISE = np.random.default_rng(0)
ODD = {
    "one voxel": np.zeros((1, 1, 1), np.int16),
    "one slice": NOISE.integers(-1000, 400, (64, 50, 1)).astype(np.int16),
    "one value": np.full((20, 20, 20), -3024, np.int16),
    "no numbers": np.full((9, 8, 7), np.nan, np.float32),
    "endless": np.where(NOISE.random((20, 20, 20)) > 0.5, np.inf, -500).astype(np.float32),
    "huge": NOISE.integers(-(10**9), 10**9, (20, 20, 20)).astype(np.int32),
    "bytes": NOISE.integers(0, 255, (20, 20, 20)).astype(np.uint8),
    "a sheet": NOISE.integers(-1000, 400, (200, 3, 90)).astype(np.int16),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_flagged_and_shown_all_the_same(tmp_path, name):
    hu, affine = ODD[name], np.array([[-1.5, 0, 0, 9], [0, -2, 0.5, 7], [0, 0, 4, -50], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / "x" / "image.nii.gz", np.asfortranarray(hu), affine)
    write_nifti(tmp_path / "x" / "m.nii.gz", np.ones(hu.shape, np.uint8), affine)
    roi = {"name": "m", "label": "lung_left", "status": "ok", "file": "x/m.nii.gz"}
    case = {"id": "x", "patient_id": "x", "status": "ok", "image": "x/image.nii.gz", "modality": "CT"}
    case |= {"shape": list(hu.shape), "spacing_mm": [1.5, 2, 4], "orientation": "LPS", "rois": [roi]}
    write_dataset(tmp_path, [case], [])
    result = qc(tmp_path, jobs=1)
    assert result.exit_code == 0 and result.content["cases"][0]["worst"] == "bad"
    facts = result.content["cases"][0]["facts"]
    assert facts["rois"][0]["voxels"] == hu.size
    json.dumps(result.content, allow_nan=False)
