"""Which tools there are, with which Python each runs, and why one is absent."""

import importlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

TOOLS = (
    "ours",
    "ours_repairing",
    "dcm2niix",
    "plastimatch",
    "rt_utils",
    "simpleitk",
    "monai_reader",
    "dicom2nifti",
    "dcmrtstruct2nii",
    "platipy",
    "dicom_rt_tool",
    "med_imagetools",
)
VENVS = "LUNGSEG_PEERS"  # environment variable: the folder that benchmarks.peers.install filled
IMPORT_LIMIT_S = 120


@dataclass(frozen=True)
class Tool:
    """python: the interpreter that has it. absent: why it can't be run, or None."""

    module: ModuleType
    python: str
    version: str
    absent: str | None

    @property
    def name(self) -> str:
        return self.module.NAME

    def makes(self, what: str) -> bool:
        return what in self.module.MAKES

    def commands(self, case: Path, out: Path) -> dict[str, list[str]]:
        return self.module.commands(self.python, case, out)

    def judged(self, case: Path, out: Path) -> list[str]:
        own = getattr(self.module, "judged", None)
        return own(self.python, case, out) if own else next(iter(self.commands(case, out).values()))

    def many(self, folder: Path, out: Path, jobs: int) -> list[str] | None:
        own = getattr(self.module, "many", None)
        return own(self.python, folder, out, jobs) if own else None


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"benchmarks.peers.tools.{name}") for name in TOOLS]


def default_venvs() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(VENVS) or Path(cache, "lungseg-peers"))


def environment(module: ModuleType, venvs: Path) -> Path:
    """The folder of the virtual environment that a tool gets for its own."""
    return venvs / module.__name__.rpartition(".")[2]


def find_all(venvs: Path) -> list[Tool]:
    return [find(module, venvs) for module in modules()]


def find(module: ModuleType, venvs: Path) -> Tool:
    """The tool in an environment of its own under `venvs`, else beside us, else absent with the reason."""
    if module.PACKAGE is None:
        return _program(module)
    own = environment(module, venvs) / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    script = f"import {module.MODULE}; from importlib.metadata import version; print(version('{module.PACKAGE}'))"
    try:
        done = subprocess.run([python, "-P", "-c", script], capture_output=True, text=True, timeout=IMPORT_LIMIT_S)
    except subprocess.TimeoutExpired:
        return Tool(module, python, "", f"takes more than {IMPORT_LIMIT_S} s to import")
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        missing = f"not installed (python -m benchmarks.peers.install {environment(module, venvs).name})"
        return Tool(module, python, "", missing if "ModuleNotFoundError" in why and not own.exists() else why)
    return Tool(module, python, done.stdout.split()[-1], _without_options(module, python))


def _without_options(module: ModuleType, python: str) -> str | None:
    """Why a variant of a tool can't be run: this version has not its options."""
    if not hasattr(module, "OPTIONS"):
        return None
    told = subprocess.run([python, *module.HELP], capture_output=True, text=True).stdout
    lacking = [option for option in module.OPTIONS if option.startswith("--") and option not in told]
    return f"no option {' '.join(lacking)}" if lacking else None


def _program(module: ModuleType) -> Tool:
    if shutil.which(module.PROGRAM) is None:
        return Tool(module, "", "", f"not installed ({module.INSTALL})")
    told = subprocess.run([module.PROGRAM, "--version"], capture_output=True, text=True)
    return Tool(module, "", (told.stdout or told.stderr).split()[-1], None)
