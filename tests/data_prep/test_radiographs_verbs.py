"""What other verbs make of a folder of X-rays: verified, or refused where only volumes make sense."""

import numpy as np
import pytest
from PIL import Image

from data_prep.cli import main
from data_prep.convert import convert
from data_prep.errors import UsageError
from data_prep.nnunet import write_nnunet
from data_prep.qc.run import qc
from data_prep.radiographs import RadiographOptions, prepare


@pytest.fixture
def prepared(tmp_path):
    random = np.random.default_rng(3)
    for folder, values in (("images", (40, 240)), ("masks", (255, 256))):
        (tmp_path / "films" / folder).mkdir(parents=True)
        for name in ("a", "b"):
            picture = np.zeros((90, 76), np.uint8)
            picture[10:40, 5:20] = random.integers(*values, (30, 15))
            Image.fromarray(picture).save(tmp_path / "films" / folder / f"{name}.png")
    prepare(
        tmp_path / "films", tmp_path / "OUT", options=RadiographOptions(salt=b"of this test alone, long", keep_ids=True)
    )
    return tmp_path / "OUT"


def test_verify_finds_nothing_wrong_and_what_was_changed(prepared, capsys):
    assert main(["verify", str(prepared)]) == 0
    image = next(prepared.glob("a/image.png"))
    image.write_bytes(image.read_bytes() + b"x")
    assert main(["verify", str(prepared)]) == 1
    assert "a/image.png" in capsys.readouterr().out


def test_volumes_are_not_mixed_with_films(prepared, tmp_path):
    with pytest.raises(UsageError, match="X-rays"):
        convert(tmp_path / "films", prepared)
    with pytest.raises(UsageError, match="X-rays"):
        qc(prepared)
    with pytest.raises(UsageError, match="X-rays"):
        write_nnunet(prepared, "Lungs", 1, ["lungs"])
