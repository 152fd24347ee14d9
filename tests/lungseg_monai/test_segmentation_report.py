"""The page about a segmentation, before a browser sees it: what stands in it, what it escapes, and how it is turned."""

import base64
import csv
import gzip
import hashlib
import io
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from PIL import Image
from segmented import flag, make_segmentation, phantom, write_case, write_segment_json

from data_prep.nifti import write_nifti
from lungseg_monai.cli import main
from lungseg_monai.errors import NothingToDoError, ReportError
from lungseg_monai.report.segmentation import page, write_report
from lungseg_monai.report.segmentation.page import as_json
from lungseg_monai.report.segmentation.read import read_segmentation
from lungseg_monai.report.segmentation.stills import COLOURS, HEAT, draw
from lungseg_monai.report.segmentation.volumes import Preview, cropped_nifti, grey_nifti, label_nifti

ODD = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&\u2028'\""


def data(path: Path, name: str) -> dict:
    """What stands in the data element `name` of a page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def unpacked(text: str) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)


def columns_of(pixels: np.ndarray, label: int) -> np.ndarray:
    return np.argwhere((pixels == COLOURS[label]).all(axis=-1))[:, 1]


def turned(preview: Preview, codes: str) -> Preview:
    """The same anatomy stored along other axes."""
    turn = ornt_transform(io_orientation(preview.affine_ras), axcodes2ornt(codes))
    affine = preview.affine_ras @ inv_ornt_aff(turn, preview.hu.shape)
    return Preview(apply_orientation(preview.hu, turn), apply_orientation(preview.labels, turn), affine)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = make_segmentation(tmp_path_factory.mktemp("segmented") / "OUT")
    write_report(folder)
    return folder


def test_what_needs_a_look_comes_first(out):
    told = data(out / "report.html", "report")
    assert [one["name"] for one in told["cases"]] == ["alarm", "broken", "unsure", "mr", "calm", "sure"]
    assert told["cases"][1]["error"] == "slice 7 of 120 can't be decoded"
    assert told["cases"][0]["flags"][0] == flag("sides", "Left and right may be swapped.", "alarm")
    assert told["model"]["weights_sha256"] == "abc123" * 10 and told["versions"]["openvino"] == "2026.4.1"
    assert "For research, not a medical device" in (out / "report.html").read_text()


def test_the_table_has_the_cases_in_the_same_order(out):
    rows = list(csv.DictReader((out / "report.csv").open()))
    assert [one["case"] for one in rows] == ["alarm", "broken", "unsure", "mr", "calm", "sure"]
    assert [one["reasons"] for one in rows] == ["sides", "failed", "cut", "refused", "", ""]
    scores = [float(one["look"]) for one in rows]
    assert scores == sorted(scores, reverse=True) and rows[0]["dice_between_answers"] == "0.876"


def test_a_score_that_was_written_is_taken_and_nonsense_is_not(tmp_path):
    cases = {name: write_case(tmp_path, name, None) for name in ("first", "second", "third")}
    for name, look in (("second", {"score": 0.5, "reasons": ["odd"]}), ("third", {"score": "much", "reasons": 3})):
        path = tmp_path / cases[name]["folder"] / "case.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"look": look}))
    found = read_segmentation(write_segment_json(tmp_path, cases)).cases
    assert [one.name for one in found] == ["second", "first", "third"]
    assert found[0].look["reasons"] == ["odd"] and found[2].look == {"reasons": [], "score": 0.01}


def test_uncertainty_goes_into_the_page_on_the_same_grid(out):
    told = data(out / "report.html", "data-0")
    assert unpacked(told["spread"]).shape == unpacked(told["labels"]).shape
    hot, plain = picture(told["uncertain"]), picture(told["still"])
    changed = (hot != plain).any(axis=-1)
    assert hot.shape == plain.shape and changed.mean() > 0.01
    assert set(map(tuple, hot[changed])) <= set(HEAT) | set(COLOURS.values()) | {tuple(one) for one in plain[changed]}
    assert {"uncertain", "spread"}.isdisjoint(data(out / "report.html", "data-2"))


def test_only_the_scripts_of_the_page_itself_may_run(out):
    text = (out / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src data:;") and "http" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert len(hashes) == 2 and set(re.findall(r"'sha256-([^']*)'", policy)) == hashes
    assert not re.findall(
        r"""<[^>]+\s(?:src|href)=["'](?!data:)""", re.sub("<script.*?</script>", "", text, flags=re.S)
    )


def test_names_and_sentences_stay_text(tmp_path):
    out = tmp_path / ODD.replace("/", "∕")
    out.mkdir()
    entry = write_case(out, ODD, 0, flags=(flag(ODD, ODD, ODD),)) | {"error": ODD}
    path = write_report(write_segment_json(out, {ODD: entry}))
    text = path.read_text()
    assert "<script>alert" not in text and "onerror=alert(1)>" not in text
    assert not any("\u2028" in script for script in re.findall("<script.*?</script>", text, re.DOTALL))
    [case] = data(path, "report")["cases"]
    assert case["name"] == case["error"] == case["flags"][0]["what"] == ODD
    assert case["flags"][0]["severity"] == "check"


def test_json_survives_any_text():
    value = {ODD: [ODD, 1.5, None, True]}
    assert json.loads(as_json(value)) == value
    assert not set(as_json(value)) & set("<>&\u2028\u2029")


def test_the_browser_gets_the_image_within_half_a_grey_and_the_very_labels(out):
    hu, labels, affine = phantom(1)
    inline = data(out / "report.html", "data-0")
    ct, mask = unpacked(inline["ct"]), unpacked(inline["labels"])
    assert np.abs(ct.get_fdata() - np.clip(hu, -1024, 600)).max() <= 1624 / 255 / 2 + 1e-3
    assert np.array_equal(np.asarray(mask.dataobj), labels)
    for image in (ct, mask):
        assert np.allclose(image.affine, affine, atol=1e-3)


def test_what_is_shown_in_3d_is_the_same_lung_at_the_same_place():
    hu, labels, affine = phantom(0)
    for preview in (Preview(hu, labels, affine), turned(Preview(hu, labels, affine), "AIR")):
        box = unpacked(cropped_nifti(preview))
        voxels = np.argwhere(np.asarray(box.dataobj) == 2)
        assert len(voxels) == (preview.labels == 2).sum()
        whole = np.argwhere(preview.labels == 2)
        found = nib.affines.apply_affine(box.affine, voxels)
        assert np.allclose(found, nib.affines.apply_affine(preview.affine_ras, whole), atol=1e-3)
    assert np.prod(box.shape) < preview.labels.size / 2
    nothing = Preview(hu, np.zeros_like(labels), affine)
    assert unpacked(cropped_nifti(nothing)).shape == hu.shape


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAL", "PIR"])
def test_stills_have_the_patients_right_on_the_left_however_stored(codes):
    straight = Preview(*phantom(0))
    drawn = draw(turned(straight, codes))
    thumb = picture(drawn.thumb)
    right, left = columns_of(thumb, 1), columns_of(thumb, 2)
    assert len(right) > 20 and len(left) > 20 and right.max() < left.min()
    still = picture(drawn.still)
    half = still.shape[0] // 2
    assert (
        columns_of(still[:half, : still.shape[1] // 2], 1).mean()
        < columns_of(still[:half, : still.shape[1] // 2], 2).mean()
    )
    assert np.allclose(drawn.centre, draw(straight).centre, atol=0.02)


def test_stills_have_the_head_on_top_and_the_front_on_the_left():
    hu, labels = np.full((40, 30, 20), -1000, np.int16), np.zeros((40, 30, 20), np.uint8)
    hu[:, :6, :] = 500  # the back, in RAS
    labels[10:15, 20:28, 12:18] = 1
    drawn = draw(Preview(hu, labels, np.diag([2.0, 3, 4, 1])))
    still = picture(drawn.still)
    rows, columns = still.shape[0] // 2, still.shape[1] // 2
    sagittal = still[rows:, :columns]
    bright = np.argwhere(sagittal.min(axis=-1) > 250)[:, 1]
    outlined = np.argwhere((sagittal == COLOURS[1]).all(axis=-1))
    assert outlined[:, 1].max() < np.percentile(bright, 10)  # in front of the back
    assert outlined[:, 0].mean() < sagittal.shape[0] / 2  # above the middle
    assert np.allclose(drawn.centre, [10.5 / 40, 20.5 / 30, 12.5 / 20])


def test_large_segmentations_keep_their_volumes_beside_the_page(out, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_INLINE_BYTES", 1000)
    (tmp_path / "look_files").mkdir()
    (tmp_path / "look_files" / "0017.js").write_text("of a former page")
    path = write_report(out, tmp_path / "look.html")
    told = data(path, "report")
    assert [one.get("file") for one in told["cases"]] == [
        "look_files/0000.js", None, "look_files/0002.js", None, "look_files/0004.js", "look_files/0005.js"
    ]  # fmt: skip
    assert sorted(one.name for one in (tmp_path / "look_files").iterdir()) == [
        "0000.js", "0002.js", "0004.js", "0005.js"
    ]  # fmt: skip
    call = (tmp_path / "look_files" / "0000.js").read_text()
    assert call.startswith(f'lungsegCase("{told["key"]}",0,{{') and path.stat().st_size < 2.6e6
    assert "script-src" in path.read_text() and "'self' file:" in path.read_text()
    monkeypatch.undo()
    write_report(out, path)
    assert not list((tmp_path / "look_files").iterdir())


def test_the_same_page_for_the_same_results(out, tmp_path):
    assert write_report(out, tmp_path / "a.html").read_bytes() == (out / "report.html").read_bytes()


def test_decisions_are_about_one_result(tmp_path):
    out = make_segmentation(tmp_path / "OUT")
    before = {one.name: one.result() for one in read_segmentation(out).cases}
    key = read_segmentation(out).key()
    content = json.loads((out / "segment.json").read_text())
    facts_path = out / content["cases"]["sure"]["folder"] / "case.json"
    facts = json.loads(facts_path.read_text())
    facts["hashes"]["outputs"]["lungs.nii.gz"] = "another"
    facts_path.write_text(json.dumps(facts))
    after = {one.name: one.result() for one in read_segmentation(out).cases}
    assert {name for name in after if after[name] != before[name]} == {"sure"}
    content["cases"]["more"] = content["cases"]["mr"]
    (out / "segment.json").write_text(json.dumps(content))
    assert read_segmentation(out).key() == key
    content["model"]["weights_sha256"] = "other"
    (out / "segment.json").write_text(json.dumps(content))
    assert read_segmentation(out).key() != key


def test_damaged_parts_are_said_and_the_rest_is_shown(tmp_path):
    out = make_segmentation(tmp_path / "OUT")
    entries = json.loads((out / "segment.json").read_text())["cases"]
    (out / entries["sure"]["folder"] / "case.json").write_text("{")
    (out / entries["calm"]["folder"] / "preview" / "ct.nii.gz").write_bytes(b"\x1f\x8b" + bytes(40))
    affine = phantom(0)[2]
    write_nifti(out / entries["unsure"]["folder"] / "preview" / "lungs.nii.gz", np.zeros((3, 4, 5), np.uint8), affine)
    cases = {one["name"]: one for one in data(write_report(out), "report")["cases"]}
    assert "case.json is missing" in cases["sure"]["error"] and "thumb" in cases["sure"]
    assert "ct.nii.gz of the preview can't be read" in cases["calm"]["unseen"]
    assert "[3, 4, 5]" in cases["unsure"]["unseen"]
    assert cases["broken"]["unseen"] == "no preview was written for this case" and "thumb" in cases["alarm"]


@pytest.mark.parametrize("content", ["", "[]", '{"cases": 3}', '{"cases": {"a": 1}}'])
def test_segment_json_may_hold_anything(tmp_path, content):
    with pytest.raises(NothingToDoError):
        read_segmentation(tmp_path)
    (tmp_path / "segment.json").write_text(content)
    if '"a"' in content:
        [case] = read_segmentation(tmp_path).cases
        assert case.status == "failed"
    else:
        with pytest.raises(ReportError):
            read_segmentation(tmp_path)


def test_numbers_that_are_none_do_not_break_the_page(tmp_path):
    out = tmp_path / "OUT"
    out.mkdir()
    entry = write_case(out, "a", 0)
    facts_path = out / entry["folder"] / "case.json"
    facts = json.loads(facts_path.read_text())
    facts["hu"]["lung_left"]["mean"] = float("nan")
    facts["confidence"] = {"lung_left": None}
    facts_path.write_text(json.dumps(facts))
    path = write_report(write_segment_json(out, {"a": entry}))
    assert data(path, "report")["cases"][0]["facts"]["hu"]["lung_left"]["mean"] is None


def test_the_command_tells_a_segmentation_from_a_run(out, tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["report", str(out), "--out", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(target), "missing": []} and target.is_file()
    assert main(["report", str(out), "--dataset", str(tmp_path)]) == 2
    assert main(["report", str(tmp_path)]) == 3
    assert "run.json" in capsys.readouterr().err


def test_the_vendored_viewer_is_the_one_that_is_named():
    folder = Path(page.__file__).parents[1] / "vendor" / "niivue"
    told = (folder / "VENDORED.md").read_text()
    content = (folder / "niivue.umd.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() in told and f"{len(content):,} bytes" in told
    assert "BSD 2-Clause" in (folder / "LICENSE").read_text()
    assert b"</script" not in content.lower() and b"sourceMappingURL" not in content


def test_greys_keep_hu_out_of_range_at_its_ends():
    hu = np.array([-3000, -1024, -1000, 0, 600, 3000], np.int16).reshape(6, 1, 1)
    preview = Preview(hu, np.zeros(hu.shape, np.uint8), np.diag([1.0, 2, 3, 1]))
    assert np.allclose(unpacked(grey_nifti(preview)).get_fdata().ravel(), [-1024, -1024, -1000, 0, 600, 600], atol=3.3)
    assert not np.asarray(unpacked(label_nifti(preview)).dataobj).any()
