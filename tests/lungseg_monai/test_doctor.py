"""What `lungseg doctor` says of good, bare and damaged installations, and that it tells nothing private."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from segment_factory import FakeModel, chest_hu, chest_labels

from lungseg_monai import bundle as bundles
from lungseg_monai.cli import main
from lungseg_monai.cores_and_memory import memory
from lungseg_monai.doctor import examine, machine, models, packages, selftest, without_home
from lungseg_monai.errors import ModelError
from lungseg_monai.segment import backends
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.result import Segmentation

ALL_WELL = "all is well"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """The only one that there is, with weights of a few bytes."""
    root = tmp_path / "bundles"
    folder = root / "ct_made"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "1.2.3", "segmenter": {}}))
    (folder / "LICENSE").write_text("\n   Some License\n\n  Version 7\nmore\n")
    table = {}
    for name in ("model.onnx", "model.pt"):
        (folder / "models" / name).write_bytes(name.encode())
        table[name] = hashlib.sha256(name.encode()).hexdigest().upper()
    (folder / "models" / "weights.json").write_text(json.dumps({"sha256": table}))
    (root / "other" / "configs").mkdir(parents=True)
    (root / "other" / "configs" / "metadata.json").write_text("{}")  # one that can't segment
    for module in (bundles, models):
        monkeypatch.setattr(module, "CHECKOUT", root)
        monkeypatch.setattr(module, "INSTALLED", tmp_path / "none")
    return folder


@pytest.fixture
def without(monkeypatch):
    """Have modules look as if they were not installed."""

    def hide(*names):
        for module in (models, backends):
            real = module.find_spec
            monkeypatch.setattr(module, "find_spec", lambda name, real=real: None if name in names else real(name))

    return hide


def test_a_good_installation(bundle, capsys):
    pytest.importorskip("openvino")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == [] and found["self_test"] is None
    (one,) = found["bundles"]
    assert (one["name"], one["version"], one["licence"]) == ("ct_made", "1.2.3", "Some License, Version 7")
    assert [(file["name"], file["status"]) for file in one["files"]] == [("model.onnx", "fine"), ("model.pt", "fine")]
    assert one["files"][0]["sha256"] == hashlib.sha256(b"model.onnx").hexdigest()
    assert found["versions"]["numpy"] == np.__version__
    assert found["cpu"]["usable_cores"] >= 1 and {place["what"] for place in found["disk"]} >= {"current folder"}
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert ALL_WELL in told and "Some License" in told and np.__version__ in told


def damage_bytes(folder):
    (folder / "model.onnx").write_bytes(b"other")


def damage_table(folder):
    (folder / "weights.json").write_text("[]")


def remove_all(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_bytes, "model.onnx is not the file that weights.json names"),
        (lambda folder: (folder / "model.pt").unlink(), "model.pt is missing"),
        (damage_table, "weights.json can't be read"),
        (remove_all, "there are no weights"),
        (lambda folder: (folder.parent / "configs" / "metadata.json").write_text("{"), "metadata.json can't be read"),
    ],
)
def test_damaged_or_missing_weights_are_named(bundle, damage, words, capsys):
    damage(bundle / "models")
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert words in told and "PROBLEM: ct_made" in told and ALL_WELL not in told
    assert main(["doctor", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err


def test_weights_that_nobody_lists_are_said_to_be_so_and_are_no_problem(bundle):
    (bundle / "models" / "weights.json").unlink()
    found = examine()
    assert not found["problems"]
    assert {file["status"] for file in found["bundles"][0]["files"]} == {"not listed"}


def test_a_bare_installation_says_what_to_install(bundle, without, capsys):
    without("openvino", "onnxruntime", "torch")
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "nothing is installed that can run a network: pip install 'lungseg-monai[segment]'" in told
    assert "auto takes" in told and "nothing" in told


def test_what_auto_takes_is_what_the_backends_take(bundle, without):
    without("openvino", "onnxruntime")
    assert examine()["bundles"][0]["auto"]["backend"] == "torch"
    (bundle / "models" / "model.pt").unlink()
    (bundle / "models" / "weights.json").unlink()
    assert examine()["problems"] == ["ct_made: no installed backend reads the weights that are there"]


def test_optional_and_needed_packages_that_are_missing(monkeypatch):
    real = packages.version

    def hidden(name):
        if name in ("openvino", "pydicom"):
            raise packages.PackageNotFoundError
        return real(name)

    monkeypatch.setattr(packages, "version", hidden)
    assert [one["install"] for one in packages.optional() if one["package"] == "openvino"] == [
        "pip install 'lungseg-monai[segment]'"
    ]
    assert packages.problems() == ["pydicom is not installed: pip install lungseg-monai"]
    assert packages.versions()["pydicom"] is None


def test_memory_is_what_the_tightest_limit_leaves(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000 kB\nMemFree:  1 kB\nMemAvailable:  6000 kB\n")
    groups = tmp_path / "groups"
    groups.mkdir()
    free = memory(meminfo, groups)
    assert free == {"total_bytes": 8000 * 1024, "limit_bytes": None, "free_bytes": 6000 * 1024}
    (groups / "memory.max").write_text("max\n")
    (groups / "memory.current").write_text("5\n")
    assert memory(meminfo, groups) == free
    (groups / "memory.max").write_text(f"{4000 * 1024}\n")
    (groups / "memory.current").write_text(f"{3000 * 1024}\n")
    assert memory(meminfo, groups) == free | {"limit_bytes": 4000 * 1024, "free_bytes": 1000 * 1024}
    unknown = memory(tmp_path / "nothing", tmp_path / "none")
    assert set(unknown.values()) == {None}


def test_little_memory_and_disk_are_warnings(bundle, monkeypatch):
    little = {"total_bytes": 2**31, "limit_bytes": None, "free_bytes": 2**29}
    monkeypatch.setattr("lungseg_monai.doctor.memory", lambda: little)
    monkeypatch.setattr(machine, "disks", lambda: [{"what": "current folder", "free_bytes": 2**20, "writable": True}])
    found = examine()
    assert not found["problems"] and len(found["warnings"]) >= 2
    assert found["warnings"][0].startswith("0.5 GiB of memory are free")


def test_a_gpu_that_torch_can_not_use_is_a_warning(bundle, monkeypatch):
    monkeypatch.setattr(machine, "_nvidia", lambda: ["Made GPU, 1 MiB, 1.0"])
    monkeypatch.setattr(machine, "has_cuda", lambda: False)
    (gpu,) = [one for one in machine.devices() if one["kind"] == "cuda"]
    assert gpu["usable"] is False and any("Made GPU" in one for one in examine()["warnings"])
    monkeypatch.setattr(machine, "has_cuda", lambda: True)
    (gpu,) = [one for one in machine.devices() if one["kind"] == "cuda"]
    assert gpu["usable"] is None and gpu["note"] is None


def test_homes_are_hidden_everywhere():
    home = Path("/home/doe.jane")
    found = {"a": ["/home/doe.jane/x/y", {"b": "see /home/doe.jane: no"}], "n": 1, "t": None}
    assert without_home(found, home) == {"a": ["~/x/y", {"b": "see ~: no"}], "n": 1, "t": None}
    assert without_home("/a/b", Path("/")) == "/a/b"


class Shifted(FakeModel):
    """As FakeModel, its labels moved along i."""

    by = 0

    def segment(self, image, *, probabilities=False):
        found = super().segment(image)
        return Segmentation(np.roll(found.labels_ijk, self.by, axis=0), found.names)


def test_backends_that_disagree_or_break_are_found(monkeypatch):
    def opened(name, *, backend, **options):
        if backend == "broken":
            raise ModelError("its weights are damaged")
        if backend == "crashing":
            raise RuntimeError("no room")
        model = Shifted()
        model.by = {"moved": 1}.get(backend, 0)
        return model

    monkeypatch.setattr("lungseg_monai.segment.models.open_model", opened)
    monkeypatch.setattr(selftest, "_has_file", lambda backend, files: True)
    image = Image(chest_hu(), np.diag([-1.5, -2.25, 3.5, 1.0]))
    monkeypatch.setattr(selftest, "made_chest", lambda: (image, chest_labels()))
    monkeypatch.setattr(selftest, "RIGHT_DICE", 0.5)  # the one that is moved passes
    names = ("first", "same", "moved", "broken", "crashing", "absent")
    asked = [{"name": name, "installed": name != "absent"} for name in names]
    tests = {one["backend"]: one for one in selftest.self_test(asked, [{"name": "b", "files": []}])}
    assert set(tests) == set(names[:-1])
    assert (
        tests["first"]["problem"] is None
        and tests["first"]["dice_truth"] == 1
        and tests["first"]["dice_others"] is None
    )
    assert tests["same"]["problem"] is None and tests["same"]["dice_others"] == 1
    assert "differs" in tests["moved"]["problem"] and tests["moved"]["dice_others"] < 0.999
    assert tests["broken"]["problem"] == "its weights are damaged"
    assert "RuntimeError" in tests["crashing"]["problem"]
    monkeypatch.setattr(selftest, "RIGHT_DICE", 1.1)
    (one,) = selftest.self_test(asked[:1], [{"name": "b", "files": []}])
    assert "does not find the lungs" in one["problem"]


def test_it_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from lungseg_monai.cli import main\n"
        "main(['doctor', '--quiet'])\n"
        "heavy = {'torch', 'monai', 'openvino', 'onnxruntime', 'SimpleITK', 'skimage', 'scipy', 'highdicom'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
