"""Who may import whom (docs/principles.md), read off the source; and how much a bare command imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREP_FILES = sorted((ROOT / "data_prep").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", PREP_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_preparation_is_an_island(path):
    assert not imported(path) & {"torch", "monai", "lungseg_monai", "ignite", "matplotlib"}


LIGHT = ROOT / "lungseg_monai"
WITH_TORCH = {"backends/torch_backend.py", "backends/plain_unet.py", "synthesis/dataset.py"}
LIGHT_FILES = sorted({*(LIGHT / "segment").rglob("*.py"), *(LIGHT / "synthesis").rglob("*.py"), LIGHT / "segmenter.py"})


def imported_at_the_top(path: Path) -> set[str]:
    statements = ast.parse(path.read_text()).body
    lines = [ast.unparse(node) for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    return {line.split()[1].split(".")[0] for line in lines}


@pytest.mark.parametrize("path", LIGHT_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_segmenting_and_making_chests_need_no_torch(path):
    if not any(str(path).endswith(name) for name in WITH_TORCH):
        assert not imported_at_the_top(path) & {"torch", "monai", "ignite"}


@pytest.mark.parametrize("module", ["data_prep.cli", "lungseg_monai.cli"])
def test_help_imports_nothing_heavy(module):
    code = (
        f"import sys, {module} as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'monai', 'pydicom', 'SimpleITK', 'skimage', 'nibabel', 'matplotlib', 'scipy', 'numpy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not a medical device" in done.stdout


def test_bundles_hold_no_python():
    assert not list((ROOT / "bundles").rglob("*.py"))
