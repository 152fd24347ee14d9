"""What setup.cfg promises: preparation without torch, pinned versions, the same version everywhere."""

from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
BASE = CONFIG["options"]["install_requires"].split("\n")
EXTRAS = {name: text.split("\n") for name, text in CONFIG["options.extras_require"].items()}


def names(lines: list[str]) -> set[str]:
    return {Requirement(line).name.lower() for line in lines if line.strip() and not line.startswith("#")}


def pinned() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}


def test_preparation_installs_without_torch():
    assert not names(BASE) & {"torch", "monai", "pytorch-ignite", "matplotlib"}


@pytest.mark.parametrize("extra", ["base", *EXTRAS])
def test_every_dependency_has_a_tested_version(extra):
    wanted = {name.replace("_", "-") for name in names(BASE if extra == "base" else EXTRAS[extra])}
    assert not wanted - pinned()


def test_nothing_depends_on_torchvision():
    assert "torchvision" not in names(BASE) | {name for extra in EXTRAS.values() for name in names(extra)} | pinned()


def test_the_citation_names_the_same_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == CONFIG["metadata"]["version"]
