"""`lungseg segment`: options to settings, results to stdout, exit codes."""

import json
import subprocess
import sys

from segment_factory import use_fake, write_chest, write_chest_nifti

from lungseg_monai.cli import main


def run(*words):
    return main(["segment", *map(str, words)])


def test_json_on_stdout_is_the_journal_and_what_this_run_did(tmp_path, monkeypatch, capsys):
    use_fake(monkeypatch)
    write_chest(tmp_path / "in put")
    assert run(tmp_path / "in put", "--out", tmp_path / "out", "--json", "--timings") == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert told["run"]["done"] == ["P1"]
    assert told["cases"] == json.loads((tmp_path / "out" / "segment.json").read_text())["cases"]
    assert "read" in out.err
    assert run(tmp_path / "in put", "--out", tmp_path / "out") == 0
    assert "there already" in capsys.readouterr().out


def test_exit_codes(tmp_path, monkeypatch, capsys):
    use_fake(monkeypatch)
    path = write_chest_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    out = tmp_path / "out"
    assert run(path, tmp_path / "bad.nii.gz", "--out", out, "--quiet") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "bad refused" in told.err
    assert run(tmp_path / "bad.nii.gz", "--out", out) == 3
    assert run(tmp_path / "nowhere", "--out", out) == 2
    for words in (["--format", "png"], ["--jobs", "0"], ["--threads", "0"], ["--memory-gb", "0.1"], ["--select", "x"]):
        assert run(write_chest(tmp_path / "in")[0], "--out", out, *words) == 2
    assert "wanted" in capsys.readouterr().err


def test_options_reach_the_model(tmp_path, monkeypatch):
    model = use_fake(monkeypatch)
    asked = []

    def opened(name, **options):
        asked.append((name, options))
        return model

    monkeypatch.setattr("lungseg_monai.segment.models.open_model", opened)
    path = write_chest_nifti(tmp_path / "a.nii.gz")
    words = ["--model", "other", "--device", "cpu", "--backend", "onnxruntime", "--threads", "3", "--vessels", "out"]
    assert run(path, "--out", tmp_path / "out", *words) == 0
    chosen = {"device": "cpu", "backend": "onnxruntime", "threads": 3, "vessels": "out"}
    assert asked == [("other", chosen)]
    assert json.loads((tmp_path / "out" / "segment.json").read_text())["settings"]["vessels"] == "out"


def test_interrupted(tmp_path, monkeypatch, capsys):
    model = use_fake(monkeypatch)

    def interrupt():
        raise KeyboardInterrupt

    model.before = interrupt
    assert run(write_chest_nifti(tmp_path / "a.nii.gz"), "--out", tmp_path / "out") == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_dicom_series_is_segmented_without_heavy_imports(tmp_path):
    write_chest(tmp_path / "in")
    code = (
        "import sys; from lungseg_monai.segment import models; from segment_factory import FakeModel\n"
        "models.open_model = lambda name, **options: FakeModel()\n"
        "from lungseg_monai.cli import main\n"
        f"assert main(['segment', {str(tmp_path / 'in')!r}, '--out', {str(tmp_path / 'out')!r}, '--quiet']) == 0\n"
        "heavy = {'torch', 'monai', 'pandas', 'matplotlib', 'skimage', 'nibabel', 'SimpleITK', 'highdicom'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    environment = {"PYTHONPATH": f"tests:{':'.join(sys.path)}", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
