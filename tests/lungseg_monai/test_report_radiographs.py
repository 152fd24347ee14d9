"""Pictures and page of a run on X-rays: what is shown is what was scored."""

import json

import numpy as np
import pytest
from PIL import Image
from prepared_radiographs import film, lungs, make_radiographs, save

from lungseg_monai.cli import main
from lungseg_monai.errors import ReportError
from lungseg_monai.report.picture_grids import COLUMNS, PictureRow, curves_picture, prediction_grid, row_tiles
from lungseg_monai.report.picture_page import choose_films
from lungseg_monai.report.pictures import FALSE_POSITIVE, MISSED, TRUTH

SHAPES = [(96 + 7 * at, 120 + 4 * at) for at in range(7)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose predictions are the further off, the higher the case's number."""
    folder = tmp_path_factory.mktemp("run")
    prepared = make_radiographs(tmp_path_factory.mktemp("p"), 7, {"test": range(7)})
    cases = []
    for at, shape in enumerate(SHAPES):
        save(folder / "predictions" / f"X{at + 1}" / "lungs.png", np.roll(lungs(shape), at, axis=1))
        cases.append({"case_id": f"X{at + 1}", "section": "test", "files": {"lungs": f"X{at + 1}/lungs.png"}})
    content = {"bundle": "cxr_lung_unet", "checkpoint": {}, "labels": {"lungs": ["lungs"]}, "split": {},
               "values": {"1": "lung_right", "2": "lung_left"}, "convention": "anatomical", "cases": cases}  # fmt: skip
    (folder / "predictions" / "predictions.json").write_text(json.dumps(content))
    facts = {"bundle": "cxr_lung_unet", "setting": "recommended", "dataset_dir": str(prepared), "seed": 3}
    (folder / "run.json").write_text(json.dumps(facts))
    rows = [f"{epoch},{split},{1 / epoch},0.9,0.8" for epoch in (1, 2) for split in ("training", "validation")]
    (folder / "curves.csv").write_text("\n".join(["epoch,split,loss,accuracy,dice", *rows, ""]))
    assert main(["evaluate", str(folder / "predictions"), str(prepared), "--quiet"]) == 0
    assert main(["report", str(folder)]) == 0
    return folder


def row(shape=(90, 140), moved=4):
    labels = lungs(shape)
    return PictureRow("X1", film(labels), labels, np.roll(labels, moved, axis=1), "Dice 0.9")


def test_tiles_have_the_films_sides_and_the_overlay_says_what_differs():
    image, reference, prediction, overlay = row_tiles(row())
    assert {tile.shape for tile in (image, reference, prediction, overlay)} == {(90, 140, 3)}
    truth, found = row().reference > 0, row().prediction > 0
    assert np.array_equal(reference.any(axis=2), truth) and np.array_equal(prediction.any(axis=2), found)
    for mask, (colour, opacity) in ((truth & found, TRUTH), (found & ~truth, FALSE_POSITIVE), (truth & ~found, MISSED)):
        wanted = (1 - opacity) * image[mask] + opacity * np.array(colour)
        assert np.abs(overlay[mask] - wanted).max() <= 1
    assert np.array_equal(overlay[~truth & ~found], image[~truth & ~found])


def test_sides_have_colours_and_large_films_become_small():
    (_, reference, prediction, _) = row_tiles(row((900, 1400)))
    assert reference.shape == (257, 400, 3) and len(np.unique(reference.reshape(-1, 3), axis=0)) == 3
    plain = row_tiles(PictureRow("X1", film(lungs((90, 140))), lungs((90, 140)) > 0, lungs((90, 140)) > 0))
    assert set(np.unique(plain[1])) == {0, 255} and prediction.dtype == np.uint8


def test_the_grid_is_a_png_with_a_line_a_film(tmp_path):
    for count in (1, 3):
        path = prediction_grid([row()] * count, tmp_path / "new" / f"{count}.png")
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width > 1000 and picture.height > 130 * count
    with pytest.raises(ReportError, match="at least one"):
        prediction_grid([], tmp_path / "none.png")
    with pytest.raises(ReportError, match=r"the prediction has \[5, 5\] pixels"):
        row_tiles(PictureRow("X1", film(lungs((90, 140))), lungs((90, 140)), np.zeros((5, 5))))
    with pytest.raises(ReportError, match="no curves"):
        curves_picture({}, tmp_path / "curves.png")


def test_each_film_stands_in_one_group_and_the_worst_first():
    for count in (1, 2, 4, 7, 30):
        rows = [{"case_id": f"X{at}", "dice": 0.5 + at / 100} for at in range(count)] + [
            {"case_id": "no", "dice": None}
        ]
        groups = {group.title: [one["case_id"] for one in group.rows] for group in choose_films(rows)}
        shown = [name for group in groups.values() for name in group]
        assert len(set(shown)) == len(shown) == min(count, 9)
        assert groups["Worst"] == [f"X{at}" for at in range(min(3, count))]
        assert count < 4 or groups["Best"][0] == f"X{count - 1}"
    assert groups["In-between"] == ["X13", "X14", "X15"]


def test_the_page_names_conventions_shows_films_and_fetches_nothing(run):
    page = (run / "report.html").read_text()
    assert "predictions <b>anatomical</b>, reference <b>visible</b>" in page
    assert "Predictions are anatomical, the reference visible (7 of 7 scores)" in page
    assert page.count("data:image/png;base64,") == 7 * len(COLUMNS) and "worst 5 %" in page
    assert "://" not in page.replace("http://www.w3.org", "") and "slices" not in page
    assert page.index("<h4>Worst") < page.index("<h4>In-between") < page.index("<h4>Best")
    assert sorted(path.name for path in (run / "figures").iterdir()) == ["curves.png", "predictions_lungs_test.png"]


def test_what_can_not_be_shown_is_named(run, capsys):
    mask = run / "predictions" / "X7" / "lungs.png"
    before = mask.read_bytes()
    save(mask, lungs((40, 50)))
    assert main(["report", str(run), "--out", str(run / "other" / "page.html")]) == 0
    assert "Not shown: X7" in (run / "other" / "page.html").read_text()
    mask.write_bytes(before)
    (run / "run.json").rename(run / "kept.json")
    assert main(["report", str(run), "--out", str(run / "third" / "page.html")]) == 0
    assert "This report is not complete" in (run / "third" / "page.html").read_text()
    (run / "kept.json").rename(run / "run.json")
