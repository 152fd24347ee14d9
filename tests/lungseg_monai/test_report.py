"""The report of a run: whole, self-contained, escaped, and there even where parts are missing."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from predicted import WARNING, make_predictions, make_run, save, truth
from prepared import make_prepared

from lungseg_monai.errors import NothingToDoError, ReportError
from lungseg_monai.evaluation.masks import Volume
from lungseg_monai.evaluation.scores import evaluate
from lungseg_monai.evaluation.tables import write_scores
from lungseg_monai.report.content import settings, shown
from lungseg_monai.report.figures import CSS, curves_svg, short, slices_svg
from lungseg_monai.report.grids import choose_grids, pick
from lungseg_monai.report.page import write_report
from lungseg_monai.report.pictures import FALSE_POSITIVE, MISSED, TRUTH, slice_pictures, view_of
from lungseg_monai.report.run import read_curves, read_run

SECTIONS = {"P1": "training", "P2": "training", "P3": "test"}
URL_ATTRIBUTES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background", "cite", "formaction"}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: elements, text, and everything that could be fetched."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.links, self.styles, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if name in URL_ATTRIBUTES]
        self.styles += [value for name, value in attributes if name == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.styles.append(data)
        elif self.open[-1:] != ["script"]:
            self.text += data

    def all(self, tag, cls=None):
        return [
            of for name, of in self.elements if name == tag and (cls is None or cls in (of.get("class") or "").split())
        ]


@pytest.fixture
def prepared(tmp_path):
    return make_prepared(tmp_path / "prepared")


@pytest.fixture
def run(tmp_path, prepared):
    folder = make_run(tmp_path / "run", prepared)
    predictions = make_predictions(prepared, folder / "predictions", SECTIONS)
    write_scores(evaluate(predictions, prepared), folder)
    return folder


def page_of(run, **options):
    return Page(write_report(run, **options).path.read_text(encoding="utf-8"))


def test_the_page_shows_the_whole_run(run):
    report = write_report(run)
    assert report.path == run / "report.html" and report.notes == []
    page = Page(report.path.read_text(encoding="utf-8"))
    assert page.open == []
    scores = json.loads((run / "scores.json").read_text())
    test_dice = next(case["dice"] for case in scores["cases"] if case["section"] == "test")
    assert f"{test_dice:.4f}" in page.text
    for said in ("ct_lung_unet2d", "recommended", "learning_rate", "0.001", "c0ffee", "5a5a5a", "1.6.1", "seed"):
        assert said in page.text
    for said in ("--empty one", "training slices have an empty reference", "not a medical device", "-1350 to 150 HU"):
        assert said in page.text
    assert len(page.all("svg")) == 3  # the curves, and the slices of two sections
    assert len(page.all("h4")) == 8  # best, in-between, worst, false positives, twice
    assert "largest predictions where the reference is empty" in page.text
    assert len(page.all("img")) % 3 == 0 and len(page.all("img")) >= 36
    assert page.text.index("lungs, test") < page.text.index("lungs, training")


def test_the_page_fetches_nothing(run):
    page = page_of(run)
    for link in page.links:
        assert link.startswith(("data:image/png;base64,", "#")), link[:80]
    for style in page.styles:
        assert "@import" not in style
        assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", style))
    assert not page.all("link") and not page.all("iframe") and not page.all("object")
    assert all("src" not in script for script in page.all("script"))
    policy = next(of["content"] for of in page.all("meta") if of.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_hostile_names_stay_text(tmp_path):
    prepared = make_prepared(tmp_path / "prepared", patients=2)
    hostile = "<script>alert(1)</script>\"'&amp;$x^2$"
    content = json.loads((prepared / "dataset.json").read_text())
    content["cases"][1]["id"] = hostile
    (prepared / "dataset.json").write_text(json.dumps(content))
    run = make_run(
        tmp_path / "run", prepared, {"bundle": "<b onload=x>", "numbers": {"<i>": "</td><img src=http://x>"}}
    )
    predictions = make_predictions(prepared, run / "predictions", {"P1": "test", "P2": "test"})
    journal = json.loads((predictions / "predictions.json").read_text())
    journal["cases"][1]["case_id"] = hostile
    journal["split"]["warning"] = "<script>warn</script>"
    (predictions / "predictions.json").write_text(json.dumps(journal))
    write_scores(evaluate(predictions, prepared), run)

    page = page_of(run)
    assert page.open == [] and len(page.all("script")) == 1
    assert not page.all("b", None) or all(not of for of in page.all("b"))
    assert not page.all("i", None) or all(set(of) == {"style"} for of in page.all("i"))
    assert all(link.startswith(("data:", "#")) for link in page.links)
    for name in (hostile, "<b onload=x>", "</td><img src=http://x>", "<script>warn</script>"):
        assert name in page.text
    assert any(hostile in (of.get("alt") or "") for of in page.all("img"))


def test_the_warning_of_a_split_within_one_patient_is_on_every_table(tmp_path, prepared):
    run = make_run(tmp_path / "run", prepared, {"split": {"by": "slice", "warning": WARNING}})
    slices = {"training": {"P1": [[0, 7]]}, "test": {"P1": [[9, 16]]}}
    predictions = make_predictions(prepared, run / "predictions", {}, slices)
    page = page_of(run)  # no scores yet: the warning of run.json is enough
    assert len(page.all("p", "alarm")) == 1 and page.text.count(WARNING) >= 1
    write_scores(evaluate(predictions, prepared), run)
    page = page_of(run)
    assert len(page.all("p", "alarm")) == 1 and len(page.all("p", "stamp")) == 3


MISSING = {
    "run.json": "settings, versions and seeds",
    "curves.csv": "monai.bundle run training",
    "scores.json": "lungseg evaluate",
    "predictions/predictions.json": "configs/inference.yaml",
}


@pytest.mark.parametrize("content", [None, "", "{", "[1]"])
@pytest.mark.parametrize("name, said", MISSING.items())
def test_what_is_missing_or_damaged_is_noted_with_its_command(run, prepared, name, said, content):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    (note,) = read_run(run, dataset=prepared).notes
    assert said in note.what + note.command and Path(name).name in note.what


def test_a_model_of_a_reproduction_keeps_its_scores_there(tmp_path):
    run = tmp_path / "models" / "proposed-1a"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert "scores.json is not there" in " ".join(note.what for note in read_run(run).notes)
    (tmp_path / "tables.html").write_text("")
    told = [note.what for note in read_run(run).notes]
    assert not any("scores.json" in one for one in told) and any("tables.html" in one for one in told)


@pytest.mark.parametrize(
    "scores", [{"cases": [{}]}, {"empty": "one"}, {"empty": "maybe"}, {"metrics": 3, "empty": "one"}]
)
def test_scores_without_what_is_shown_are_damaged(run, scores):
    (run / "scores.json").write_text(json.dumps(scores))
    (note,) = read_run(run).notes
    assert "damaged" in note.what


def test_a_page_with_parts_missing_names_them(run):
    for name in ("curves.csv", "scores.json", "predictions/predictions.json"):
        (run / name).unlink()
    report = write_report(run)
    page = Page(report.path.read_text(encoding="utf-8"))
    assert "This report is not complete." in page.text and len(report.notes) == 3 == len(page.all("code")[:3])
    for note in report.notes:
        assert note.what in page.text and note.command in page.text
    assert "learning_rate" in page.text


def test_a_missing_image_is_named_where_it_would_be(run, prepared):
    (prepared / "P3" / "image.nii.gz").unlink()
    page = page_of(run)
    assert "Not shown: P3, slice" in page.text and "image.nii.gz is not there" in page.text
    assert page.all("img")  # the others are shown


def test_a_missing_dataset_is_asked_for(run, prepared, tmp_path):
    prepared.rename(tmp_path / "elsewhere")
    assert any("--dataset PREPARED" in note.command for note in read_run(run).notes)
    for dataset in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "dataset.json"):
        assert read_run(run, dataset).notes == []


def test_what_was_left_out_and_not_scored_is_named_in_full(tmp_path, prepared):
    entry = {"case_id": "P7", "section": "training", "reason": "its mask lies on another grid " + "x" * 400}
    run = make_run(tmp_path / "run", prepared, {"left_out": [entry, "something else"]})
    predictions = make_predictions(prepared, run / "predictions", {"P1": "test", "P2": "test"})
    (predictions / "P2" / "lungs.nii.gz").unlink()
    write_scores(evaluate(predictions, prepared), run)
    page = page_of(run)
    assert f"P7 (training): {entry['reason']}" in page.text and "something else" in page.text
    assert "P2 (test, lungs): " in page.text and "lungs.nii.gz is not there" in page.text


def test_what_is_no_run_is_refused(tmp_path, prepared):
    with pytest.raises(NothingToDoError, match=r"run\.json"):
        read_run(prepared)
    with pytest.raises(NothingToDoError, match="no folder"):
        read_run(tmp_path / "nowhere")
    (prepared / "segment.json").write_text("{}")
    with pytest.raises(ReportError, match="lungseg report"):
        read_run(prepared)


def test_scores_without_a_run_make_a_report(tmp_path, prepared):
    predictions = make_predictions(prepared, tmp_path / "predictions", SECTIONS)
    write_scores(evaluate(predictions, prepared), predictions)
    report = write_report(predictions, out=tmp_path / "out" / "page.html", dataset=prepared)
    assert report.path.is_file() and any("run.json" in note.what for note in report.notes)


def test_scores_with_everything_skipped_make_a_report(tmp_path, prepared):
    run = make_run(tmp_path / "run", prepared)
    predictions = make_predictions(prepared, run / "predictions", {"P1": "test"})
    mask, affine = truth(prepared, "P1")
    for file in [*(prepared / "P1" / "masks").iterdir(), predictions / "P1" / "lungs.nii.gz"]:
        save(file, mask * 0, affine)
    write_scores(evaluate(predictions, prepared, empty="skip"), run)
    page = page_of(run)
    assert "left out" in page.text and not page.all("img") and len(page.all("svg")) == 2


def test_curves_are_read_tolerantly(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(
        "epoch,split,loss,accuracy,other\n1,training,0.5,nan,x\n2,training,,0.8,\nx,training,1,1,\n2,validation,inf,0.7\n"
    )
    assert read_curves(path) == {
        "training": {"loss": [(1, 0.5)], "accuracy": [(2, 0.8)]},
        "validation": {"accuracy": [(2, 0.7)]},
    }


def test_figures_follow_the_page_and_hold_no_identifier_twice():
    rows = [{"case_id": case, "slice": k, "reference_voxels": k, "predicted_voxels": k, "dice": 0.9, "accuracy": 0.95}
            for case in ("A", "B") for k in range(3)]  # fmt: skip
    figures = [
        curves_svg({"training": {"loss": [(1, 0.5), (2, 0.25)]}}),
        slices_svg(rows, "test"),
        slices_svg(rows, "training"),
    ]
    for svg in figures:
        assert "currentColor" in svg and not any(placeholder in svg for placeholder in CSS)
    assert "var(--test)" in figures[1] and "var(--training)" in figures[2]
    identifiers = re.findall(r'\bid="([^"]*)"', "".join(figures))
    assert len(identifiers) == len(set(identifiers))
    assert figures[1] == slices_svg(rows, "test")  # the same scores, the same bytes


def test_one_epoch_alone_is_marked_whole():
    svg = curves_svg({"training": {"loss": [(1, 0.5)]}})
    assert re.findall(r"<text[^>]*>([^<]*)</text>", svg)[:2] == ["1", "epoch"]


def test_each_figure_says_which_of_gaos_it_is(run):
    """Gao's own bundle alone."""
    told = page_of(run).text
    assert all(f"as Figure {number} of the paper" in told for number in range(4, 12)) and "Figures 2 and 3" in told
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "bundle": "ct_lung_dilated_unet"}))
    assert "of the paper" not in page_of(run).text


def slice_row(number, dice, reference=5, predicted=5, case="A"):
    return {
        "case_id": case,
        "slice": number,
        "dice": dice,
        "reference_voxels": reference,
        "predicted_voxels": predicted,
    }


def test_grids_show_slices_with_reference_and_blank_ones_apart():
    rows = [slice_row(k, 1.0, 0, 0) for k in range(0, 30, 3)] + [slice_row(90, 0.0, 0, 7), slice_row(99, 0.0, 0, 70)]
    rows += [
        slice_row(k, dice) for k, dice in zip(range(30, 72, 6), (0.2, 0.95, 0.5, 0.7, 0.9, 0.1, 0.99), strict=True)
    ]
    best, middle, worst, wrong = choose_grids(rows)
    assert [row["dice"] for row in best.rows] == [0.99, 0.95, 0.9]
    assert [row["dice"] for row in worst.rows] == [0.1, 0.2, 0.5]
    assert [row["dice"] for row in middle.rows] == [0.7, 0.5, 0.9]
    assert [row["slice"] for row in wrong.rows] == [99, 90]


def test_neighbours_of_a_shown_slice_are_left_out():
    rows = [slice_row(k, 1 - k / 100) for k in range(10)] + [slice_row(1, 0.5, case="B")]
    assert [(row["case_id"], row["slice"]) for row in pick(rows, lambda row: -row["dice"])] == [
        ("A", 0),
        ("A", 3),
        ("A", 6),
    ]


ORIENTATIONS = [
    "".join(code)
    for code in product("LRAPSI", repeat=3)
    if all(sum(letter in code for letter in pair) == 1 for pair in ("LR", "AP", "SI"))
]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_is_shown_the_same_way_round(codes):
    """A mark at the patient's left, front, top is found where that side is drawn, whatever the axes of the file."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    lps = np.zeros((9, 7, 5))
    lps[8, 0, 4] = 1  # left, anterior, superior corner
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(codes))
    voxels = apply_orientation(lps, turn)
    volume = Volume(None, voxels, affine @ inv_ornt_aff(turn, lps.shape))
    assert "".join(nib.aff2axcodes(volume.affine_ras)) == codes

    view = view_of(volume)
    picture = view.apply(voxels.max(axis=2))
    (row,), (column,) = np.nonzero(picture)
    at_right = column == picture.shape[1] - 1
    assert at_right or column == 0
    seen = {view.left, view.right}
    assert seen == ({"L", "R"} if set(codes[:2]) & set("LR") else {"A", "P"})
    assert (view.right if at_right else view.left) == ("L" if "L" in seen else "A")
    assert view.right in "LP" and row == 0  # the front, or the top, is up
    extent_mm = {"L": 18.0, "R": 18.0, "A": 21.0, "P": 21.0, "S": 20.0, "I": 20.0}
    vertical = next(code for code in codes[:2] if code not in seen)
    assert view.size_mm == pytest.approx((extent_mm[view.right], extent_mm[vertical]))


def decode(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))).convert("RGB")).astype(int)


def test_pictures_have_true_proportions_and_the_colours_of_the_key():
    image = Volume(None, np.full((40, 40, 2), -1350, np.int16), np.diag([-1.0, -2.0, 5.0, 1.0]))
    truth_mask, predicted = np.zeros((2, 40, 40, 2), bool)
    truth_mask[:20, :, 1] = True  # the patient's right, at the left of the picture
    predicted[10:30, :, 1] = True
    pictures = [decode(uri) for uri in slice_pictures(image, truth_mask, predicted, 1)]
    assert {picture.shape for picture in pictures} == {(320, 160, 3)}
    columns = {"missed": 20, "agreed": 60, "false": 100, "nothing": 140}

    def colour(picture, where):
        return picture[160, columns[where]]

    def painted(paint):
        return np.array(paint[0]) * paint[1]  # on black

    assert all((colour(pictures[0], where) < 4).all() for where in columns)
    for where, wanted in (("missed", TRUTH), ("agreed", TRUTH)):
        assert np.abs(colour(pictures[1], where) - painted(wanted)).max() < 4
    for where, wanted in (("missed", MISSED), ("agreed", TRUTH), ("false", FALSE_POSITIVE)):
        assert np.abs(colour(pictures[2], where) - painted(wanted)).max() < 4
    assert (colour(pictures[2], "nothing") < 4).all()


def test_settings_are_shown_flat_and_without_the_way_to_a_file():
    groups = settings({"seed": 3, "numbers": {"a": {"b": 1}, "c": []}, "none": {}}, {"sha256": "ab"})
    assert groups == [
        ("run", [("seed", "3")]),
        ("numbers", [("a.b", "1"), ("c", "[]")]),
        ("checkpoint", [("sha256", "ab")]),
    ]
    assert shown("/home/someone/data/set") == "…/set" and shown("C:\\Users\\someone\\set") == "…/set"
    assert shown("relative/path") == "relative/path" and len(shown("x" * 999)) == 300
    assert short("abcdef", 4) == "abc…" and short("abcd", 4) == "abcd"
