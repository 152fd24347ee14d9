"""A model that works in two parts: the first part of a case runs while the case before it is finished."""

import threading

import pytest
from segment_factory import FakeModel, use_fake, write_chest_nifti

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.run import segment


class InParts(FakeModel):
    """begun: in which order parts came. wait: `complete` of the first case waits until the second was begun."""

    def __init__(self):
        super().__init__()
        self.parts, self.second, self.fail = [], threading.Event(), None

    def begin(self, image):
        number = sum(1 for part, _ in self.parts if part == "begin")
        self.parts.append(("begin", threading.current_thread() is threading.main_thread()))
        if number == self.fail:
            raise ImageError("no such image")
        if number == 0:
            self.second.set()
        return image

    def complete(self, begun, *, probabilities=False):
        self.parts.append(("complete", threading.current_thread() is threading.main_thread()))
        return FakeModel.segment(self, begun, probabilities=probabilities)


@pytest.fixture
def model(monkeypatch):
    return use_fake(monkeypatch, InParts())


def chests(folder, names):
    for name in names:
        write_chest_nifti(folder / f"{name}.nii.gz")
    return folder


def test_the_next_case_is_begun_while_one_is_finished(tmp_path, model):
    model.before = lambda: None if model.second.wait(20) else pytest.fail("the second case was not begun beside")
    result = segment([chests(tmp_path / "in", "abc")], tmp_path / "out")
    assert [one.name for one in result.outcomes] == ["a", "b", "c"]
    assert result.names("done") == ["a", "b", "c"]
    assert [main for part, main in model.parts if part == "begin"] == [False, False]  # the first is done in one piece
    assert [main for part, main in model.parts if part == "complete"] == [True, True]


def test_what_can_not_be_begun_costs_only_itself(tmp_path, model):
    model.fail = 0
    result = segment([chests(tmp_path / "in", "abc")], tmp_path / "out")
    assert result.names("done") == ["a", "c"]
    assert result.names("refused") == ["b"]


def test_without_room_nothing_is_begun_ahead(tmp_path, model, monkeypatch):
    monkeypatch.setattr("lungseg_monai.segment.worker.LEAST_TO_BEGIN", 2**60)
    assert segment([chests(tmp_path / "in", "ab")], tmp_path / "out").names("done") == ["a", "b"]
    assert model.parts == []
