"""Names of a store as names of files: none leads outside, none clashes, fine ones stay."""

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.remote.names import RESERVED, local_names, safe_part

ODD = st.sampled_from(
    ["..", ".", "", "CON", "nul.txt", "a", "A", "ä", "a\u0308", "x.", " x", "a\\b", "C:", "~", "-", "\0"]
)
NAMES = st.lists(st.one_of(ODD, st.text(max_size=12), st.text("aAbB./\\~", max_size=8)), min_size=1, max_size=5).map(
    "/".join
)


def folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFKD", str(path)).casefold()


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_no_name_leads_outside_or_clashes(names):
    paths = local_names(names)
    assert set(paths) == set(names)
    assert len({folded(path) for path in paths.values()}) == len(names)
    files = {folded(path) for path in paths.values()}
    for path in paths.values():
        assert not path.is_absolute() and path.parts
        assert not files & {folded(parent) for parent in path.parents}  # none is a file and a folder
        for part in path.parts:
            assert part.strip(" .") and not RESERVED.fullmatch(part) and len(part.encode()) < 200
            assert not set(part) & set('<>:"/\\|?*\0\n') and part == part.strip() and not part.endswith(".")
        assert len(str(path).encode()) < 700


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.randoms())
def test_the_order_does_not_matter(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    assert local_names(shuffled) == local_names(names)


@pytest.mark.parametrize("name", ["a.png", "COVID/images/COVID-1.png", "1.2.840.113/IM 0001", ".hidden", "été.dcm"])
def test_fine_names_stay(name):
    assert local_names([name]) == {name: PurePosixPath(name)}


def test_only_what_clashes_is_renamed_and_keeps_its_ending():
    paths = local_names(["Up/a.png", "up/A.png", "up/b.png", "up", "up/.."])
    assert paths["up/b.png"] == PurePosixPath("up/b.png")
    assert paths["Up/a.png"].suffix == paths["up/A.png"].suffix == ".png"
    assert paths["Up/a.png"].name != "a.png" and paths["up"].name != "up"
    assert ".." not in paths["up/.."].parts


def test_a_name_can_be_written(tmp_path):
    for path in local_names(["a" * 1000, "b/" * 300 + "c.png", "x" * 150 + ".png", "é" * 130]).values():
        target = Path(tmp_path, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"1")


@given(st.text(min_size=1))
def test_a_safe_part_is_one_part(name):
    assert len(PurePosixPath(safe_part(name)).parts) == 1 and safe_part(name) not in ("..", ".", "/")
