"""Spellings to labels, and file names that no file system trips over."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import UsageError
from data_prep.roi_names import LABELS, LONGEST_BYTES, RESERVED, RoiMap, label_of, safe_name, squashed


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


SPELLINGS = {
    "lung_left": """
        Lung-Left|lung_l|Lung_L|LLung|L Lung|Lt Lung|LUNG LT|Left_Lung|lung left|Lung (Left)|Lung_L_c20|LLung_c00
        Lungs_L
        Lunge links|Lunge li|LUNGE_L|linke Lunge|Linker Lungenflügel|Lungenfluegel links|Poumon gauche|PoumonG|poumon_G
        Pulmón izquierdo|pulmon izq|Pulmon_I|Polmone sinistro|polmone sx|Long links|long_L|linkerlong|Linker long
        Pulmão esquerdo|pulmao_E|PULMÃO ESQ""",
    "lung_right": """
        Lung-Right|lung_r|Lung_R|RLung|R Lung|Rt Lung|LUNG RT|Right_Lung|Lung (Right)|Lung_R_c20|RLung_c90|Lunge rechts
        Lunge re|rechte Lunge|rechter Lungenflügel|Poumon droit|Poumon_D|poumon dt|Pulmón derecho|pulmon dcho|Pulmon_D
        Polmone destro|polmone dx|Long rechts|long_R|rechterlong|Pulmão direito|pulmao_D""",
    "lungs": """
        Lungs|Both Lungs|Lungs_Total|Total Lung|Lung_Total|Lung_Both|bilateral lungs|Lungen|beide Lungen|Lunge gesamt
        Lunge bds|Poumons|deux poumons|Pulmones|ambos pulmones|Polmoni|Longen|beide longen|Pulmões|Lungs_c50
        Lung L+R""",
    "gtv": """
        GTV-1|gtv-1|GTV-2|GTV1|GTV|GTVp|GTVp1|GTV_T|GTV tumor|GTV Tumour|GTV primary|GTV_lung|GTV total|Tumor_c00|Tumor
        tumour|Gross Tumor|Tumeur|Tumore|GTV_c40|GTV-1a""",
    "gtv_nodes": "GTVn|GTVn1|GTV-N1|GTV_LN|GTV node|GTV nodes|GTVnodal|LN|LN1|LN_c30|GTV lymph nodes",
    "heart": "Heart|HEART|heart |Heart_c10|Herz|Cœur|Coeur|CŒUR|Corazón|Cuore|Hart|Coração|coracao",
    "esophagus": """
        Esophagus|Oesophagus|ESOPHAGUS|Esoph|oesoph|Esophagus_c60|Ösophagus|Oesophagus_|Speiseröhre|Œsophage|oesophage
        Esófago|esofago|Slokdarm|Oesofagus|Esôfago""",
    "spinal_cord": """
        Spinal-Cord|SpinalCord|Spinal Cord|Cord|Cord_c30|Cord_Spinal|Rückenmark|Rueckenmark|Myelon|Moelle épinière
        moelle
        Médula espinal|medula|Midollo spinale|midollo|Ruggenmerg|Myelum|Medula espinhal""",
    "trachea": "Trachea|TRACHEA|Trachée|Tráquea|Luftröhre|Traqueia",
    "bronchi": "Bronchus|Bronchi|Bronchus_Main|Main_Bronchus|Bronchus_Prox|Bronchial tree|Prox Bronch Tree|PBT",
    "bronchus_left": "Bronchus_L|L_Bronchus",
    "carina": "Carina",
    "aorta": "Aorta|A_Aorta|Aorta_A",
    "great_vessels": "GreatVes|Great Vessels",
    "pulmonary_artery": "A_Pulm|A_Pulmonary|Pulmonary Artery",
    "superior_vena_cava": "SVC|V_Venacava_S|Vena cava sup",
    "pericardium": "Pericardium",
    "brachial_plexus_left": "BrachialPlex_L|L_BrachialPlex|Brachial Plexus Left",
    "brachial_plexus_right": "BrachialPlex_R|R_BrachialPlex",
    "chest_wall": "Chestwall|Chest wall",
    "chest_wall_left": "Chestwall_L|L_Chestwall",
    "ribs": "Ribs|Rib",
    "ribs_right": "Ribs_R",
    "breast_left": "Breast_L|L_Breast|Left Breast",
    "humerus_right": "Humerus_R|R_Humerus",
    "thyroid": "Thyroid|Glnd_Thyroid",
    "liver": "Liver|Leber|Foie|Hígado|Fegato|Lever|Fígado",
    "stomach": "Stomach|Magen|Estomac|Stomaco",
    "vertebrae": "Vertebra_c30|Vertebrae",
    "body": "Body|BODY|External|Skin|Körper",
}
# What is derived from an organ or a target, lies around it, or may mean several things.
NOTHING = """
    Lung-Left-PTV|heart+A_Pulm|NS_cord|Lungs-GTV|Lung_L_minus_GTV|BODY-Lungs|Lungs - PTV|Lungs_minus_ITV|Lung_L-GTV|PTV
    CTV|ITV|iGTV|GTV+5mm|GTV_PTV|GTVexp|GTV old|PRV_SpinalCord|SpinalCord_PRV05|SpinalCord_PRV|Cord+5|zLung_L|~Lung_L
    _Lung_L|Heart_opt|ring_GTV|Ring|avoid_cord|Lung_L_old|Lung_L_1|Lung|Lunge|Poumon|Long|Lung_LUL|Lung_RLL|Lung_L_c21
    Heart_c5|SpinalCanal|Spinalkanal|Canal médullaire|HeartPRV|Heart2|LLungLLL|Lungs_Ex|eval_PTV|Couch|CouchSurface|BH
    ROI-1|Artifact|Contrast|L|R|left|c20|_c20|dose 95%|Isocenter|Marker1|Bolus|Heart-Lungs|Left|HumerusHead_L
    TumorMm_c40
"""


def _split(spellings):
    return [name for line in spellings.strip().splitlines() for name in line.strip().split("|")]


def test_the_spellings_of_public_sets_tg_263_and_clinics():
    wanted = {name: label for label, spellings in SPELLINGS.items() for name in _split(spellings)}
    assert len(wanted) > 200
    assert {name: label_of(name) for name in wanted} == wanted


def test_helpers_margins_and_ambiguous_names_stay_without_label():
    assert {name: label_of(name) for name in _split(NOTHING)} == dict.fromkeys(_split(NOTHING))


@given(st.sampled_from([name for spellings in SPELLINGS.values() for name in _split(spellings)]), st.data())
def test_case_and_separators_do_not_matter(name, data):
    changed = "".join(data.draw(st.sampled_from([one.upper(), one.lower()])) for one in name)
    changed = re.sub(r"[ _\-]", lambda _: data.draw(st.sampled_from(["", " ", "_", "-", ".", "__"])), changed)
    decomposed = unicodedata.normalize("NFD", changed)
    assert label_of(f" {changed} ") == label_of(decomposed) == label_of(name)


@given(st.text(max_size=200))
def test_any_name_at_all_is_either_known_or_not(name):
    label = label_of(name)
    assert label is None or re.fullmatch("[a-z_]+", label)


@given(st.text(max_size=40))
def test_squashing_twice_is_squashing_once(name):
    assert squashed(squashed(name)) == squashed(name)


def write(tmp_path, content, name="map.txt"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


ROWS = [("LLL", "lobe_ll"), ("Heart", None), ("Lunge (li|links)\\.neu", "lung_left"), ("x+", "x-plus")]


@pytest.mark.parametrize("form", ["lines", "json", "json without the ending"])
def test_own_rows_go_before_the_shipped_ones(tmp_path, form):
    if form == "lines":
        lines = [f"{pattern} = {label or 'null'}" for pattern, label in ROWS]
        path = write(tmp_path, "\ufeff# mine\n\n" + "\r\n".join(lines) + "\n")
    else:
        rows = [{"pattern": pattern, "label": label} for pattern, label in ROWS]
        path = write(tmp_path, json.dumps(rows), "map.json" if form == "json" else "map.txt")
    roi_map = RoiMap.load(path)
    assert [roi_map.label_of(n) for n in ("LLL", " lll ", "heart", "lunge LI.neu", "xxx", "xy")] == [
        "lobe_ll", "lobe_ll", None, "lung_left", "x-plus", None]  # fmt: skip
    assert roi_map.find("heart") is not None and roi_map.find("xy") is None
    assert roi_map.label_of("Lung_R") == "lung_right" and label_of("Heart") == "heart"
    assert roi_map.text() != RoiMap().text() and RoiMap.load(None) == RoiMap()


def test_the_first_of_several_rows_that_match_counts(tmp_path):
    roi_map = RoiMap.load(write(tmp_path, "gtv.* = tumour\ngtv1 = other\n"))
    assert roi_map.label_of("GTV1") == "tumour"


def test_patterns_may_be_written_as_the_name_or_squashed(tmp_path):
    roi_map = RoiMap.load(write(tmp_path, r"Tumor \(rechts\) = gtv" + "\nmeinherz = heart\na=b = c\n"))
    assert [roi_map.label_of(n) for n in ("tumor (Rechts)", "Mein-Herz", "a=b")] == ["gtv", "heart", "c"]


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        ("lung", "m.txt", "line 1: wanted `pattern = label`"),
        ("# x\n\nlung = ", "m.txt", "line 3: wanted"),
        (" = heart", "m.txt", "line 1: wanted"),
        ("(lung = x", "m.txt", "no regular expression"),
        ("a = b\na = c", "m.txt", "line 2: the pattern 'a' stands in line 1 too"),
        ("a = ../evil", "m.txt", "can't be a label"),
        ("a = b c", "m.txt", "can't be a label"),
        ("{}", "m.json", "holds a dict"),
        ("[1]", "m.json", "row 1: wanted a list"),
        ('[{"pattern": "a"}]', "m.json", "row 1: wanted a list"),
        ('[{"pattern": "a", "label": 3}]', "m.json", "row 1: '3' can't be a label"),
        ('[{"pattern": "a", "label": ""}]', "m.json", "can't be a label"),
        ('[{"pattern": "a", "label": "b"}, {"pattern": "a", "label": "b"}]', "m.json", "row 2: the pattern"),
        ("[", "m.json", "is no JSON"),
    ],
)
def test_a_map_that_cannot_be_read_is_refused_by_row(tmp_path, content, name, complaint):
    with pytest.raises(UsageError, match=re.escape(complaint)):
        RoiMap.load(write(tmp_path, content, name))


def test_a_map_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can't read the ROI map"):
        RoiMap.load(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"Herz\xe4 = heart")
    with pytest.raises(UsageError, match="UTF-8"):
        RoiMap.load(tmp_path / "latin")


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
