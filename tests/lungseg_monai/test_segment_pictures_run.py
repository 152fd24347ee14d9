"""`lungseg segment` on radiographs: what is found, what it is called, what is written, and what bad files cost."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from radiograph_bundle import dice, film, save, use_bundles, write_radiograph_bundle
from segment_factory import write_chest, write_chest_nifti

from data_prep.radiographs import RadiographOptions, prepare
from lungseg_monai.cli import main
from lungseg_monai.data import select_cases
from lungseg_monai.errors import DatasetError, NothingToDoError, UsageError
from lungseg_monai.segment.inputs import expanded
from lungseg_monai.segment.radiographs.find import find_radiographs
from lungseg_monai.segment.radiographs.outputs import measure

VALUES, TRUTH = film()
BYTES = np.round(VALUES * 255).astype(np.uint8)
CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    write_radiograph_bundle(folder)
    return folder


@pytest.fixture(autouse=True)
def known(root, monkeypatch):
    use_bundles(monkeypatch, root)


def run(*words, model="cxr_lung_dark"):
    return main(["segment", *map(str, words), "--model", model, "--backend", "onnxruntime", "--threads", "1"])


def record(out, name):
    return json.loads((out / name / "case.json").read_text())


def codes(out, name):
    return {flag["code"] for flag in record(out, name)["flags"]}


def names(*inputs):
    return [case.name for case in find_radiographs([Path(one) for one in inputs], Path("unused")).cases]


def write_dicom(path, stored, **tags):
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = CR, generate_uid(), "CR"
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.PatientID, data.PatientName, data.PatientIdentityRemoved = "P7", "Doe^Jane", "YES"
    data.Rows, data.Columns = stored.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.SamplesPerPixel, data.PixelRepresentation, data.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    data.PixelData = stored.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def test_one_picture(tmp_path, capsys):
    path, out = save(tmp_path / "film 1.png", VALUES, np.uint16), tmp_path / "out"
    assert run(path, "--out", out, "--save-probabilities") == 0
    assert "1 case(s) segmented" in capsys.readouterr().out
    labels = Image.open(out / "film_1" / "lungs.png")
    assert labels.mode == "L"  # every reader finds the very values
    values = np.asarray(labels)
    assert values.shape == BYTES.shape
    assert set(np.unique(values)) == {0, 1, 2}
    assert dice(values == 1, TRUTH == 1) > 0.95
    probability = np.asarray(Image.open(out / "film_1" / "probability.png"))
    assert probability.dtype == np.uint16
    assert dice(probability > 32767, TRUTH > 0) > 0.95
    found = record(out, "film_1")
    assert found["areas"]["lung_right"]["pixels"] == np.count_nonzero(values == 1)
    assert found["areas"]["lungs"]["cm2"] is None
    assert found["convention"] == found["model"]["convention"] == "visible"
    assert set(found["hashes"]["outputs"]) == {"lungs.png", "overlay.png", "probability.png"}
    assert found["outputs"] == {"png": "lungs.png", "overlay": "overlay.png", "probability": "probability.png"}
    overlay = np.asarray(Image.open(out / "film_1" / "overlay.png").convert("RGB")).astype(int)
    coloured = np.ptp(overlay, axis=2) > 60
    orange, blue = coloured & (overlay[..., 0] > overlay[..., 2]), coloured & (overlay[..., 2] > overlay[..., 0])
    middle = overlay.shape[1] / 2
    assert np.nonzero(orange[:-30])[1].max() < middle < np.nonzero(blue[:-30])[1].min()


def test_a_folder_again_and_by_halves(tmp_path, capsys):
    for name in ("a.png", "sub/b.png", "sub/.hidden.png"):
        save(tmp_path / "in" / name, VALUES)
    save(tmp_path / "in" / "masks" / "a.png", (TRUTH > 0) * 1.0)
    save(tmp_path / "in" / "sub" / "b_mask.png", (TRUTH > 0) * 1.0)
    out = tmp_path / "in" / "out"
    assert run(tmp_path / "in", "--out", out, "--quiet") == 0
    journal = json.loads((out / "segment.json").read_text())
    assert sorted(journal["cases"]) == ["a", "b"]
    assert journal["cases"]["b"]["where"] == "sub/b.png"
    told = {(one["where"], one["reason"], one["files"]) for one in journal["ignored"]}
    mask = "mask: not needed to segment"
    assert told == {("", "hidden", 1), ("masks", mask, 1), ("sub", mask, 1)}
    made = (out / "a" / "case.json").stat().st_mtime_ns
    save(tmp_path / "in" / "sub" / "b.png", VALUES * 0.9)
    assert run(tmp_path / "in", "--out", out) == 0
    assert "1 case(s) segmented, 1 were there already" in capsys.readouterr().out
    assert (out / "a" / "case.json").stat().st_mtime_ns == made
    assert run(tmp_path / "in" / "a.png", "--out", out, "--convention", "anatomical", "--quiet") == 0
    assert record(out, "a")["convention"] == "anatomical"  # other settings: made again
    assert run(tmp_path / "in", "--out", tmp_path / "elsewhere", "--quiet") == 0  # earlier results are no input
    assert sorted(json.loads((tmp_path / "elsewhere" / "segment.json").read_text())["cases"]) == ["a", "b"]


def test_globs_quoted_or_expanded(tmp_path):
    files = [save(tmp_path / "in" / name, VALUES) for name in ("a.png", "b.png", "deep/c.png")]
    save(tmp_path / "in" / "a_mask.png", (TRUTH > 0) * 1.0)
    assert expanded([tmp_path / "in" / "*.png"]) == sorted([*files[:2], tmp_path / "in" / "a_mask.png"])
    assert expanded([tmp_path / "in" / "**" / "c.png"]) == [files[2]]
    assert names(*expanded([tmp_path / "in" / "*.png"])) == ["a", "b"]
    odd = save(tmp_path / "x[1].png", VALUES)
    assert expanded([odd]) == [odd]
    with pytest.raises(UsageError, match="fits no file"):
        expanded([tmp_path / "*.jpg"])


def test_names(tmp_path):
    a, b = save(tmp_path / "x" / "film.png", VALUES), save(tmp_path / "y" / "film.png", VALUES)
    image = save(tmp_path / "z" / "image.png", VALUES)
    assert names(a) == ["film"]
    assert names(a, b, image) == ["x-film", "y-film", "z"]
    assert names(tmp_path) == ["x-film", "y-film", "z"]
    assert names(a, a) == ["film"]
    mask = save(tmp_path / "q" / "film_mask.png", VALUES)
    assert names(mask) == ["film_mask"]  # named alone, it is wanted


def test_a_prepared_folder_keeps_ids_and_spacing(tmp_path):
    write_dicom(tmp_path / "in" / "one.dcm", BYTES.astype(np.uint16) * 16, PixelSpacing=[0.5, 0.25])
    prepare(tmp_path / "in", tmp_path / "prepared", options=RadiographOptions(salt=b"0" * 32))
    out = tmp_path / "out"
    assert run(tmp_path / "prepared", "--out", out, "--quiet") == 0
    found = record(out, "P7")
    assert found["image"]["spacing_mm"] == [0.5, 0.25]
    area = found["areas"]["lungs"]
    assert area["mm2"] == pytest.approx(area["pixels"] * 0.125, abs=0.06)
    assert area["cm2"] == pytest.approx(area["mm2"] / 100, abs=0.01)
    cases = json.loads((tmp_path / "prepared" / "dataset.json").read_text())
    cases["cases"][0] |= {"modality": "CT", "shape": [4, 4, 4], "spacing_mm": [1, 1, 1]}
    (tmp_path / "prepared" / "dataset.json").write_text(json.dumps(cases))
    with pytest.raises(NothingToDoError, match="--model ct_lungs"):
        names(tmp_path / "prepared")


def test_dicom_by_polarity_orientation_and_spacing(tmp_path):
    stored = BYTES.astype(np.uint16) * 16
    write_dicom(tmp_path / "in" / "plain", stored, ImagerPixelSpacing=[0.2, 0.2], PatientOrientation=["L", "F"])
    write_dicom(tmp_path / "in" / "first", 4095 - stored, PhotometricInterpretation="MONOCHROME1", PatientID="P8")
    turned = np.ascontiguousarray(stored[:, ::-1])
    write_dicom(tmp_path / "in" / "turned", turned, PatientOrientation=["R", "F"], PatientID="P9")
    out = tmp_path / "out"
    assert run(tmp_path / "in", "--out", out, "--quiet") == 0
    plain, first, mirrored = (np.asarray(Image.open(out / one / "lungs.png")) for one in ("P7", "P8", "P9"))
    assert dice(plain == 1, first == 1) > 0.99
    assert dice(plain == 2, mirrored[:, ::-1] == 2) > 0.97
    assert record(out, "P7")["image"]["spacing_from"].startswith("ImagerPixelSpacing")
    assert "side_assumed" not in codes(out, "P7")
    assert "MONOCHROME1 inverted" in record(out, "P8")["image"]["repairs"]
    for file in out.rglob("*.json"):
        assert "Doe" not in file.read_text()


def test_what_is_not_for_this_model_is_refused_by_name(tmp_path, capsys):
    out = tmp_path / "out"
    good = save(tmp_path / "good.png", VALUES)
    volume = write_chest_nifti(tmp_path / "ct.nii.gz")
    write_chest(tmp_path / "series")
    assert run(good, volume, tmp_path / "series", "--out", out) == 1
    told = capsys.readouterr().out
    assert "ct.nii.gz refused: a volume of voxels, no X-ray: lungseg segment --model ct_lungs takes it" in told
    assert "series series refused: 7 slice(s) of CT, no X-ray: lungseg segment --model ct_lungs takes it" in told
    assert run(tmp_path / "series", "--out", out) == 3
    assert "--model ct_lungs" in capsys.readouterr().err
    words = ["--format", "rtstruct"], ["--select", "x~y"], ["--vessels", "in"], ["--rules", "tuned"]
    assert [run(good, "--out", out, *one) for one in words] == [2] * 4


def test_x_rays_given_to_a_model_of_ct_are_refused_by_name(tmp_path, capsys, monkeypatch):
    from segment_factory import use_fake

    use_fake(monkeypatch)
    monkeypatch.setattr("lungseg_monai.segment.inputs.bundle_path", Path)  # ct_lungs is there
    good = save(tmp_path / "in" / "good.png", VALUES)
    write_dicom(tmp_path / "dicom" / "x", BYTES.astype(np.uint16))
    for given in (good, good.parent, tmp_path / "dicom"):
        assert main(["segment", str(given), "--out", str(tmp_path / "out")]) == 3
        assert "--model cxr_lung_unet" in capsys.readouterr().err


def test_a_model_whose_name_is_misspelt_is_told(tmp_path, capsys):
    good = save(tmp_path / "in" / "good.png", VALUES)
    assert main(["segment", str(good), "--out", str(tmp_path / "out"), "--model", "cxr_lung_drak"]) == 2
    assert "no bundle 'cxr_lung_drak'" in (told := capsys.readouterr().err) and "cxr_lung_dark?" in told
    assert not (tmp_path / "out").exists()


def bad_batch(folder):
    save(folder / "good.png", VALUES)
    save(folder / "tiny_range.png", VALUES * 0.003 + 0.4, np.uint16)
    save(folder / "icon.png", np.ones((1, 1)))
    save(folder / "blank.png", np.full((100, 90), 0.5))
    save(folder / "strip.png", np.tile(np.linspace(0, 1, 900), (100, 1)))
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (120, 100, 3), np.uint8)).save(folder / "photo.png")
    tint = np.stack([VALUES * 250, VALUES * 200, VALUES * 120], axis=-1).astype(np.uint8)
    Image.fromarray(tint).save(folder / "tinted.jpg", quality=95)
    whole = save(folder / "cut.jpg", film(300, 260)[0]).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    tinted = (folder / "tinted.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(tinted[: len(tinted) // 2])
    scan = bytearray((folder / "tinted.jpg").read_bytes())
    scan[len(scan) // 2 : len(scan) // 2 + 2] = b"\xff\x01"  # a marker: Pillow decodes on without a word
    (folder / "scratched.jpg").write_bytes(scan)
    frames = [Image.fromarray(BYTES), Image.fromarray(255 - BYTES)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "text.png").write_text("no picture")
    head = bytearray(save(folder / "giant.png", VALUES).read_bytes())
    head[16:24] = (60000).to_bytes(4, "big") * 2  # claims 3.6 thousand million pixels
    import zlib

    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    (folder / "giant.png").write_bytes(bytes(head))


def test_bad_files_cost_themselves_alone_and_are_named(tmp_path, capsys):
    bad_batch(tmp_path / "in")
    out = tmp_path / "out"
    assert run(tmp_path / "in", "--out", out, "--report") == 1
    journal = json.loads((out / "segment.json").read_text())
    done = {name for name, one in journal["cases"].items() if one["status"] == "done"}
    assert done == {"good", "tiny_range", "tinted"}
    why = {name: one["error"] for name, one in journal["cases"].items() if one["error"]}
    wanted = {
        "icon": "1 rows", "blank": "blank", "strip": "a strip", "photo": "colour picture", "cut": "cut short",
        "scratched": "damaged JPEG", "half": "cut short",
        "moving": "2 pictures", "giant": "more pixels than any X-ray",
    }  # fmt: skip
    assert set(why) == set(wanted)
    for name, part in wanted.items():
        assert part in why[name]
    assert [one["where"] for one in journal["refused"]] == ["text.png"]
    assert "input" in codes(out, "tiny_range") & codes(out, "tinted")
    labels = [np.asarray(Image.open(out / name / "lungs.png")) for name in ("good", "tiny_range", "tinted")]
    assert all(dice(one == 2, TRUTH == 2) > 0.95 for one in labels)
    page = (out / "report.html").read_text()
    assert page.count("<img ") == 3
    assert page.index("colour picture in one tint") < page.index("<b>good</b>")  # flagged first
    assert "script" not in page.lower()
    assert "report:" in capsys.readouterr().out


def test_an_archive_and_processes_of_their_own(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "films.zip", "w") as packed:
        for name in ("a", "b"):
            packed.write(save(tmp_path / "loose" / f"{name}.png", VALUES), f"in/{name}.png")
    out = tmp_path / "out"
    assert run(tmp_path / "films.zip", "--out", out, "--jobs", "2", "--quiet") == 0
    journal = json.loads((out / "segment.json").read_text())["cases"]
    assert {name: one["where"] for name, one in journal.items()} == {
        "a": "films.zip/in/a.png",
        "b": "films.zip/in/b.png",
    }


def test_a_url_in_place_of_input_and_output(tmp_path, capsys):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/films/a.png", save(tmp_path / "a.png", VALUES).read_bytes())
    words = "--cache-dir", tmp_path / "cache", "--quiet"
    assert run("memory://films", "--out", "memory://results", *words) == 0
    assert memory.exists("/results/a/lungs.png")
    assert run("nosuch://films", "--out", tmp_path / "out", *words) == 2
    assert run("memory://nothing-there", "--out", tmp_path / "out", *words) == 3
    assert "nothing-there" in capsys.readouterr().err


def test_a_prepared_folder_may_lie_behind_a_url(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match="no-such"):
        select_cases("memory://no-such")


def test_measures_of_known_boxes():
    labels = np.zeros((50, 40), np.uint8)
    labels[10:30, 5:15], labels[12:22, 20:36] = 1, 2
    found = measure(labels, {1: "lung_right", 2: "lung_left"}, (0.5, 2.0))
    assert {name: area["mm2"] for name, area in found["areas"].items()} == {
        "lung_right": 200, "lung_left": 160, "lungs": 360,
    }  # fmt: skip
    assert found["shapes"]["lung_left"] == {
        "rows": [12, 22], "columns": [20, 36], "height_mm": 5.0, "width_mm": 32.0,
    }  # fmt: skip
    assert found["right_to_left"] == 1.25
    alone = measure((labels == 2).astype(np.uint8), {1: "lung_left"}, None)
    assert alone["areas"]["lung_left"]["pixels"] == 160
    assert alone["right_to_left"] is None
    assert measure(labels * 0, {1: "lungs"}, None)["shapes"] == {"lungs": None}
