"""lungseg-prep cxr, whole: layouts that it pairs, what it writes, what it refuses, resuming, privacy."""

import csv
import json
import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from data_prep.cli import main
from data_prep.dataset import SCHEMA, check_files, read_dataset
from data_prep.errors import NothingToDoError, UsageError
from data_prep.radiographs import RadiographOptions, prepare

SALT = b"a salt that only the tests know!"
KEEP = RadiographOptions(salt=SALT, keep_ids=True)
SHAPE = (90, 76)


def film(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A noisy bright picture with two dark fields, off centre."""
    random = np.random.default_rng(seed)
    picture = random.integers(120, 250, shape)
    picture[lungs(shape)] //= 3
    return picture.astype(np.uint8)


def lungs(shape: tuple[int, int] = SHAPE, side: str = "both") -> np.ndarray:
    rows, columns = np.indices(shape) / np.array(shape).reshape(2, 1, 1)
    inside = (rows > 0.2) & (rows < 0.7)
    right, left = (columns > 0.1) & (columns < 0.4), (columns > 0.5) & (columns < 0.8)
    return inside & {"both": right | left, "right": right, "left": left}[side]


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8) if pixels.dtype != bool else pixels.astype(np.uint8) * 255).save(path)
    return path


def pair(folder: Path, name: str, seed: int) -> None:
    save(folder / "images" / f"{name}.png", film(seed))
    save(folder / "masks" / f"{name}.png", lungs())


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


LAYOUTS = {
    "sisters": ("images/p 1.png", "masks/p 1.png"),
    "suffix": ("p 1.png", "p 1_mask.png"),
    "hyphen": ("p 1.jpg", "p 1-mask.png"),
    "seg": ("a/b/p 1.png", "a/b/p 1_seg.png"),
    "montgomery or shenzhen": ("Set/CXR_png/p 1.png", "Set/masks/p 1_mask.png"),
    "far apart": ("ChinaSet/CXR_png/p 1.png", "mask/p 1_mask.png"),
    "both suffixes": ("p 1_image.png", "p 1_lung_mask.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairs_are_found_by_rule(tmp_path, layout):
    image, mask = LAYOUTS[layout]
    save(tmp_path / "in" / image, film())
    save(tmp_path / "in" / mask, lungs())
    result = prepare(tmp_path / "in", tmp_path / "out", options=KEEP)
    (case,) = result.dataset["cases"]
    assert result.exit_code == 0 and case["id"].startswith("p_1")
    assert [(roi["label"], roi["file"]) for roi in case["rois"]] == [("lungs", f"{case['id']}/masks/lungs.png")]
    assert np.array_equal(pixels(tmp_path / "out" / case["rois"][0]["file"]), lungs() * 255)


def test_left_and_right_masks_stay_apart(tmp_path):
    save(tmp_path / "in/CXR_png/M1.png", film())
    save(tmp_path / "in/ManualMask/leftMask/M1.png", lungs(side="left"))
    save(tmp_path / "in/ManualMask/rightMask/M1.png", lungs(side="right"))
    (case,) = prepare(tmp_path / "in", tmp_path / "out", options=KEEP).dataset["cases"]
    assert [roi["label"] for roi in case["rois"]] == ["lung_left", "lung_right"] and not case["flags"]
    united = sum(pixels(tmp_path / "out" / roi["file"]).astype(int) for roi in case["rois"])
    assert np.array_equal(united, lungs() * 255)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "in/ManualMask/leftMask").rename(tmp_path / "in/ManualMask/x")
    (tmp_path / "in/ManualMask/rightMask").rename(tmp_path / "in/ManualMask/leftMask")
    (tmp_path / "in/ManualMask/x").rename(tmp_path / "in/ManualMask/rightMask")
    (case,) = prepare(tmp_path / "in", tmp_path / "out", options=KEEP).dataset["cases"]
    assert "masks swapped" in case["flags"][0]


def test_the_qatar_layout(tmp_path):
    for number, (folder, stem) in enumerate([("COVID", "COVID-1"), ("Viral Pneumonia", "1"), ("Normal", "1")]):
        save(tmp_path / "in" / folder / "images" / f"{stem}.png", film(number, (299, 299)))
        save(tmp_path / "in" / folder / "masks" / f"{stem}.png", np.repeat(lungs((256, 256))[..., None], 3, -1))
    result = prepare(tmp_path / "in", tmp_path / "out", options=KEEP)
    assert result.exit_code == 0
    cases = {case["id"]: case for case in result.dataset["cases"]}
    assert set(cases) == {"COVID-1", "Viral_Pneumonia_1", "Normal_1"}
    roi = cases["COVID-1"]["rois"][0]
    assert roi["repairs"] == ["256x256 resized by nearest neighbour"] and cases["COVID-1"]["class_name"] == "COVID"
    inside = pixels(tmp_path / "out" / roi["file"])
    assert inside.shape == (299, 299) and set(np.unique(inside)) == {0, 255}
    assert abs((inside > 0).mean() - lungs((256, 256)).mean()) < 0.01
    named = prepare(tmp_path / "in", tmp_path / "anonymous", options=RadiographOptions(salt=SALT)).dataset["cases"]
    assert sorted(case["id"].rpartition("_case-")[0] for case in named) == ["COVID", "Normal", "Viral_Pneumonia"]


@pytest.fixture
def batch(tmp_path) -> Path:
    """Three good pairs, and one of everything that goes wrong."""
    folder = tmp_path / "in"
    for number in range(3):
        pair(folder, f"good{number}", number)
    pair(folder, "twin", 0)
    save(folder / "images/alone.png", film(5))
    save(folder / "masks/lost.png", lungs())
    save(folder / "images/blank.png", np.full(SHAPE, 7))
    save(folder / "images/colour.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)))
    save(folder / "images/cut.jpg", film(6))
    cut = folder / "images/cut.jpg"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "images/empty.png").write_bytes(b"")
    save(folder / "images/wrong.png", film(8))
    save(folder / "masks/wrong.png", lungs((90, 90)))
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_one_bad_file_costs_only_itself(batch, tmp_path):
    result = prepare(batch, tmp_path / "out", options=KEEP)
    content = json.loads((tmp_path / "out/dataset.json").read_text())
    assert not list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(content))
    assert content == json.loads(json.dumps(result.dataset)) == read_dataset(tmp_path / "out")
    assert check_files(tmp_path / "out") == [] and result.exit_code == 1
    told = {entry["where"]: entry["reason"] for entry in result.refused}
    for where, why in {
        "images/blank.png": "blank",
        "images/colour.png": "colour picture",
        "images/cut.jpg": "cut short",
        "images/empty.png": "no picture",
        "masks/lost.png": "without its image",
        "alone": "no mask was found",
        "wrong": "another shape",
    }.items():
        assert why in told.pop(where)
    assert not told
    assert {case["id"] for case in content["cases"]} == {"good0", "good1", "good2", "twin", "alone", "wrong"}
    groups = {case["id"]: case["group"] for case in content["cases"]}
    assert groups["twin"] == groups["good0"] and len(set(groups.values())) == 5
    with (tmp_path / "out/report.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 + len(content["refused"])
    assert "same pixels as good0" in next(row["notes"] for row in rows if row["case_id"] == "twin")
    assert "1 no picture and no DICOM" in result.table()


def test_it_goes_on_where_it_stopped_and_makes_again_what_changed(batch, tmp_path):
    def interrupt(items, label):
        for number, item in enumerate(items):
            if label == "preparing" and number == 6:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        prepare(batch, tmp_path / "out", options=KEEP, progress=interrupt)
    finished = sorted(path.parent.name for path in (tmp_path / "out").glob("*/case.json"))
    assert len(finished) == 3 and not list((tmp_path / "out").glob(".partial-*"))
    second = prepare(batch, tmp_path / "out", options=KEEP)
    assert second.reused == finished and len(second.prepared) == 3
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    save(batch / "masks/good1.png", lungs(side="left"))
    third = prepare(batch, tmp_path / "out", options=KEEP)
    assert third.prepared == ["good1"]
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert changed == [tmp_path / "out/good1/masks/lungs.png"]


def test_names_of_files_and_folders_are_not_written_unless_kept(tmp_path):
    pair(tmp_path / "in" / "Doe", "Roe_Richard", 1)
    prepare(tmp_path / "in", tmp_path / "out", options=RadiographOptions(salt=SALT))
    written = "".join(path.name + path.read_text("latin-1") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "Roe" not in written and "Doe" not in written


def test_a_csv_says_what_belongs_together(tmp_path):
    folder = tmp_path / "in"
    for number in range(3):
        save(folder / f"x{number}.png", film(number))
        save(folder / f"y{number}.png", lungs())
    (tmp_path / "pairs.csv").write_text(
        "image,mask,patient,other\nx0.png,y1.png,A,\nx1.png,y0.png,A,\nx2.png,gone.png,B,\n"
    )
    result = prepare(folder, tmp_path / "out", options=RadiographOptions(pairs=tmp_path / "pairs.csv", salt=SALT))
    cases = result.dataset["cases"]
    assert len(cases) == 2 and len({case["patient_id"] for case in cases}) == 1 == len({c["group"] for c in cases})
    assert [entry["where"] for entry in result.refused] == ["line 4"]
    (tmp_path / "cases.csv").write_text("case,list\nx0,train\nnobody,test\n")
    result = prepare(folder, tmp_path / "few", options=RadiographOptions(pairs=tmp_path / "cases.csv", salt=SALT))
    assert len(result.dataset["cases"]) == 1 and "no image is called so" in result.refused[0]["reason"]
    (tmp_path / "bad.csv").write_text("picture,mask\na,b\n")
    with pytest.raises(UsageError, match="columns image, mask"):
        prepare(folder, tmp_path / "no", options=RadiographOptions(pairs=tmp_path / "bad.csv", salt=SALT))


@pytest.mark.parametrize("parted", [",", ";", "\t"])
def test_a_csv_of_excel_or_of_macos_is_read(parted, tmp_path):
    """Semicolons, a byte order mark, backslashes, empty lines, and umlauts of two characters each."""
    folder = tmp_path / "Röntgen Bilder"
    save(folder / "Größe 1.png", film(0))
    save(folder / "Masken" / "Größe 1.png", lungs())
    rows = [
        ["Image", "Mask", "Patient"],
        [],
        ["Größe 1.png", "Masken\\Größe 1.png", "A"],
        ["gone.png", "", ""],
        ["", "", ""],
    ]
    text = "\r\n".join(parted.join(row) for row in rows)
    (tmp_path / "pairs.csv").write_text(unicodedata.normalize("NFD", text), encoding="utf-8-sig", newline="")
    result = prepare(folder, tmp_path / "out", options=RadiographOptions(pairs=tmp_path / "pairs.csv", salt=SALT))
    assert [len(case["rois"]) for case in result.dataset["cases"]] == [1]
    assert [one["where"] for one in result.refused] == ["line 4"]


def test_a_csv_of_another_encoding_is_refused_with_a_remedy(tmp_path):
    save(tmp_path / "in" / "x.png", film(0))
    (tmp_path / "pairs.csv").write_bytes("image,mask\nGröße.png,\n".encode("cp1252"))
    with pytest.raises(UsageError, match="save it again as CSV UTF-8"):
        prepare(tmp_path / "in", tmp_path / "out", options=RadiographOptions(pairs=tmp_path / "pairs.csv", salt=SALT))


def test_patients_by_a_pattern_in_the_names(tmp_path):
    for number, name in enumerate(("007_1", "007_2", "008_1")):
        pair(tmp_path / "in", name, number)
    options = RadiographOptions(salt=SALT, keep_ids=True, patient_pattern="^([0-9]+)_")
    cases = prepare(tmp_path / "in", tmp_path / "out", options=options).dataset["cases"]
    assert sorted(case["patient_id"] for case in cases) == ["007", "007", "008"]
    ids = [case["id"] for case in cases]
    assert ids[2] == "008" and [name[-6:] for name in sorted(ids, key=lambda name: name[-1])[:2]] == [
        "_007_1",
        "_007_2",
    ]
    for wrong in ("(", "no group"):
        with pytest.raises(UsageError, match="--patient-pattern"):
            RadiographOptions(patient_pattern=wrong)


def test_an_archive_is_prepared_as_its_folder(tmp_path):
    pair(tmp_path / "in", "a", 1)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
        for path in sorted((tmp_path / "in").rglob("*.png")):
            packed.write(path, path.relative_to(tmp_path / "in"))
        packed.writestr("__MACOSX/._a.png", b"junk")
    folder = prepare(tmp_path / "in", tmp_path / "one", options=KEEP).dataset["cases"]
    archive = prepare(tmp_path / "in.zip", tmp_path / "two", options=KEEP).dataset["cases"]
    assert folder == archive


def test_exit_codes_and_images_alone(tmp_path, capsys):
    save(tmp_path / "in/only.png", film())
    base = ["cxr", str(tmp_path / "in"), str(tmp_path / "out"), "--jobs", "1", "--keep-ids"]
    assert main([*base, "--convention", "visible", "--json"]) == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["rois"] == [] and case["convention"] is None and case["spacing_mm"] is None
    assert main(["cxr", str(tmp_path / "in"), str(tmp_path / "in")]) == 2
    assert main(["cxr", str(tmp_path / "gone"), str(tmp_path / "out")]) == 2
    (tmp_path / "none").mkdir()
    assert main(["cxr", str(tmp_path / "none"), str(tmp_path / "out2")]) == 3
    assert not (tmp_path / "out2").exists()
    save(tmp_path / "black/b.png", np.zeros(SHAPE))
    assert main(["cxr", str(tmp_path / "black"), str(tmp_path / "out3"), "--jobs", "0"]) == 3
    with pytest.raises(NothingToDoError, match="no X-ray"):
        prepare(tmp_path / "none", tmp_path / "out2", options=KEEP)


def test_ct_in_the_output_is_left_alone(tmp_path):
    (tmp_path / "out/P1").mkdir(parents=True)
    (tmp_path / "out/P1/case.json").write_text('{"fingerprint": "", "case": {"id": "P1"}}')
    pair(tmp_path / "in", "a", 1)
    with pytest.raises(UsageError, match="no X-ray"):
        prepare(tmp_path / "in", tmp_path / "out", options=KEEP)


def test_real_x_rays(real_data, tmp_path):
    names = [f"CHNCXR_{number:04}_0" for number in (1, 2, 3)]
    for name in names:
        for folder in ("images", "masks"):
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(real_data / "cxr-shenzhen" / folder / f"{name}.jpg", tmp_path / "in" / folder)
    result = prepare(tmp_path / "in", tmp_path / "out", options=KEEP)
    assert result.exit_code == 0 and [case["id"] for case in result.dataset["cases"]] == names
    for case in result.dataset["cases"]:
        assert case["flags"] == [] and 0.1 < case["rois"][0]["area"]["pixels"] / 512**2 < 0.5
        assert "grey pixels: above 127 is inside" in case["rois"][0]["repairs"][0]
