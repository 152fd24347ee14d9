"""Backends that can be used, and bundles that can segment: whether their weights are there and are the right ones."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lungseg_monai.bundle import CHECKOUT, INSTALLED, bundle_path
from lungseg_monai.doctor.packages import installed
from lungseg_monai.errors import LungsegError
from lungseg_monai.io import sha256
from lungseg_monai.segment.backends import KINDS, choose_backend
from lungseg_monai.segment.backends.weights import TABLE

GOOD = ("fine", "not listed")
DO = {"missing": "is missing", "differs": f"is not the file that {TABLE} names", "unreadable": "can't be read"}


def backends() -> list[dict[str, Any]]:
    """name, installed, version, devices, extra: in the order in which `auto` prefers them on a CPU."""
    return [
        {
            "name": name,
            "installed": find_spec(kind.module) is not None,
            "version": installed(name),
            "devices": list(kind.devices),
            "extra": kind.extra,
        }
        for name, kind in KINDS.items()
    ]


def bundles() -> list[dict[str, Any]]:
    """Of every bundle that can segment: name, version, place, licence, phantom_only, files, auto, problem."""
    names = sorted({path.parent.name for root in (INSTALLED, CHECKOUT) for path in root.glob("*/configs")})
    found = [_bundle(name, bundle_path(name)) for name in names]
    return [one for one in found if one is not None]


def _bundle(name: str, folder: Path) -> dict[str, Any] | None:
    try:
        metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        if "segmenter" not in metadata:
            return None
        problem = None
    except (OSError, ValueError, TypeError) as error:
        metadata, problem = {}, f"metadata.json can't be read ({type(error).__name__}): install the package again"
    files, trouble = _weights(folder / "models")
    return {
        "name": name,
        "version": metadata.get("version"),
        "place": "installed" if folder.is_relative_to(INSTALLED) else "checkout",
        "licence": _licence(folder / "LICENSE"),
        "phantom_only": bool(metadata.get("phantom_only")),
        "files": files,
        "auto": _auto(folder),
        "problem": problem or trouble,
    }


def _weights(folder: Path) -> tuple[list[dict[str, Any]], str | None]:
    """name, status (fine, not listed, missing, differs, unreadable), sha256, bytes; and what is wrong as a whole."""
    trouble = None
    try:
        said = json.loads((folder / TABLE).read_text(encoding="utf-8"))["sha256"]
        wanted = {str(name): str(one).lower() for name, one in said.items()}
    except FileNotFoundError:
        wanted = {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wanted, trouble = {}, f"{TABLE} can't be read: install the package again"
    there = [name for name in {kind.file for kind in KINDS.values()} if (folder / name).is_file()]
    files = [_file(folder / name, wanted.get(name)) for name in sorted({*wanted, *there})]
    return files, trouble or (None if files else "there are no weights: install the package again, or train")


def _file(path: Path, wanted: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": path.name, "status": "missing", "sha256": None, "bytes": None}
    if not path.is_file():
        return facts
    try:
        found = sha256(path)
    except LungsegError:
        return facts | {"status": "unreadable"}
    status = "not listed" if wanted is None else "fine" if found == wanted else "differs"
    return facts | {"status": status, "sha256": found, "bytes": path.stat().st_size}


def _auto(folder: Path) -> dict[str, str] | None:
    """Which backend and device `auto` takes; None where there is none."""
    try:
        name, device = choose_backend("auto", "auto", folder)
    except LungsegError:
        return None
    return {"backend": name, "device": device} if (folder / "models" / KINDS[name].file).is_file() else None


def _licence(path: Path) -> str | None:
    """The first two lines of it that say something."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return None
    return ", ".join([line for line in lines if line][:2]) or None


def problems(found: dict[str, Any]) -> list[str]:
    """What keeps `lungseg segment` from working, or is damaged."""
    said = []
    if not any(one["installed"] for one in found["backends"]):
        said.append("nothing is installed that can run a network: pip install 'lungseg-monai[segment]'")
    if not found["bundles"]:
        said.append("there is no bundle that can segment: install the package again")
    for one in found["bundles"]:
        bad = [f"{file['name']} {DO[file['status']]}" for file in one["files"] if file["status"] not in GOOD]
        if bad:
            said.append(f"{one['name']}: {'; '.join(bad)}: install the package again")
        if one["problem"]:
            said.append(f"{one['name']}: {one['problem']}")
        elif not one["auto"] and any(backend["installed"] for backend in found["backends"]):
            said.append(f"{one['name']}: no installed backend reads the weights that are there")
    return said
