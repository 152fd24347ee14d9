"""The Python in the how-to pages runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_factory import Ct, boxes, write_ct, write_rtstruct

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in (ROOT / "docs" / "how-to").glob("*.md") if "import data_prep" in page.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_the_preparation_run(page, tmp_path):
    write_ct(tmp_path / "IN" / "ct", Ct())
    write_rtstruct(tmp_path / "IN" / "rtstruct.dcm", Ct(), {"Lung-Left": boxes(Ct(), 2)})
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Lung-Left" in done.stdout
