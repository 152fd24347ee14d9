"""The benchmark of inverted pictures: what it counts, and its page."""

from types import SimpleNamespace

import numpy as np
import pytest
from prepared_radiographs import make_radiographs

from benchmarks.radiographs import measure, polarity
from lungseg_monai.pictures.grey import grey
from lungseg_monai.synthesis.radiograph import TINY


class Dark:
    """Takes what is dark for lung; told by a corner that it must be the negative."""

    spatial_size = (32, 32)

    def segment(self, picture, flipped):
        values = grey(picture)
        turned = bool(values[0, 0] < 0.5)
        labels = ((values > 0.5) if turned else (values < 0.5)).astype(np.uint8)
        return SimpleNamespace(labels_ijk=labels, facts={"inverted": turned}, confidence={"a": 0.95, "b": 0.85})


@pytest.fixture
def dark(monkeypatch):
    monkeypatch.setattr(polarity, "_model", lambda name: Dark())
    monkeypatch.setattr(polarity, "Bundle", lambda name: SimpleNamespace(weights="0123"))


def test_a_picture_and_its_negative_are_told(dark, tmp_path):
    data = make_radiographs(tmp_path / "p", 2, {"training": [0], "validation": [1], "test": []})
    (case,) = polarity.cases_of(data, "validation")
    one = polarity.told(polarity.Task("m", case))
    assert (one.name, one.group, one.picture, one.negative) == ("X2", polarity.READ, False, True)
    assert one.same > 0.99 and one.sure == 0.85 and one.lift < -0.3
    assert not polarity.wrong(one)


def test_the_page_counts_and_names_mistakes(dark):
    found = [
        polarity.Told("X1", polarity.READ, False, True, 1.0, 0.95, -0.3),
        polarity.Told("X2", polarity.READ, True, True, 0.5, 0.80, 0.1),
        polarity.Told("made-0", polarity.MADE, False, False, 0.2, 0.70, None),
    ]
    text = polarity.page("python", "m", found)
    assert "{" not in text
    assert "| validation list | 2 | 1 | 2 | 0.750 | 0.500 | 0.875 | 0.807 | 0.800 | 1 |" in text
    assert "validation list -0.30 to 0.10; made films none" in text
    assert "Mistaken: X2 (as it is), made-0 (its negative)." in text


def test_one_command_writes_the_page(dark, tmp_path, monkeypatch):
    monkeypatch.setattr(polarity, "FILM", TINY)
    data = make_radiographs(tmp_path / "p", 2, {"training": [0], "validation": [1], "test": []})
    page = tmp_path / "page.md"
    assert polarity.main([str(data), "--films", "2", "--jobs", "1", "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "PREPARED --model cxr_lung_unet --films 2" in text and "| made films | 2 |" in text
    assert f"seed {measure.SEED}" in text
