"""Spellings to labels, and file names that no file system trips over."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.roi_names import LABELS, LONGEST_BYTES, RESERVED, label_of, safe_name


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (
            "lung_left",
            [
                "Lung-Left",
                "Lung_L",
                "Lung_Left",
                "LUNG_LT",
                "left_lung",
                "L_Lung",
                "LLung",
                "Lung,Left",
                "Lung.L",
                "lungleft",
            ],
        ),
        ("lung_left", ["Lung-Left", "Lung_L", "Lung_Left", "LUNG_LT", "left_lung", "L_Lung", "LLung", "Lung,Left"]),
        ("lung_left", ["Lung.L", "lungleft", "LUNG LEFT"]),
        ("lung_left", ["left lung", "Lung L", " Lung-Left "]),
        ("lung_right", ["Lung-Right", "Lung_R", "RT LUNG", "R Lung", "right lung"]),
        ("lungs", ["Lungs", "Lungs-Total", "both lungs", "Lung Total"]),
        ("gtv", ["GTV-1", "GTV", "gtv1", "GTVp", "GTV_p1", "GTV-2", "GTV primary", "GTVt"]),
        ("gtv_nodes", ["GTVn", "GTV-N1", "GTV_LN"]),
        ("heart", ["Heart", "HEART"]),
        ("esophagus", ["Esophagus", "oesophagus"]),
        ("spinal_cord", ["Spinal-Cord", "SpinalCord", "Cord", "spinal cord"]),
        # Helpers and targets with margins are not what they are made of.
        (None, ["PTV", "CTV1", "ITV", "iGTV", "GTV-PTV", "GTV+5mm", "Lung-Left minus GTV", "Lungs-GTV", "PRV cord"]),
        (None, ["SpinalCord_PRV05", "Ring lung", "zLung_L", "~Lung_L", "Lung", "Lung_L_old", "", "SpinalCanal"]),
        (None, ["Lung_LUL", "Lung_RLL", "Heart-Lungs", "Lungs_Ex", "L"]),
    ],
)
def test_common_spellings(label, names):
    assert {name: label_of(name) for name in names} == dict.fromkeys(names, label)


def test_the_table_is_sound():
    for row in json.loads(LABELS.read_text()):
        assert set(row) == {"pattern", "label"}
        assert re.fullmatch("[a-z_]+", row["label"])
        re.compile(row["pattern"])


awkward = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["../evil", "/etc/passwd", "..", ".", "", "CON", "con.txt", "nul", "a" * 200, "ä" * 200, "a\0b",
                     "C:\\x", "Lung-Left", "LUNG-LEFT", "lung/left", "é", "e\u0301", "\ud800", "trailing. ", "*?<>|"]),
)  # fmt: skip


@given(st.lists(awkward, max_size=12))
def test_file_names_are_safe_and_unique_whatever_the_roi_is_called(names):
    taken: set[str] = set()
    files = [safe_name(name, taken) for name in names]
    for file in files:
        assert file and not set(file) & set('/\\:*?"<>|\0\n ') and not file.startswith(".")
        assert len(f"{file}.nii.gz".encode()) <= 255 - 20 and len(file.encode()) <= LONGEST_BYTES + 4
        assert file.split(".")[0].upper() not in RESERVED
        assert file == unicodedata.normalize("NFC", file)
    folded = [unicodedata.normalize("NFC", file.casefold()) for file in files]
    assert len(set(folded)) == len(files)


def test_ordinary_names_stay_as_they_are():
    taken: set[str] = set()
    assert [safe_name(n, taken) for n in ("Lung-Left", "GTV-1", "lung-left", "Lunge links", "左肺", "Lung-Left")] == [
        "Lung-Left", "GTV-1", "lung-left-2", "Lunge_links", "左肺", "Lung-Left-3"]  # fmt: skip
