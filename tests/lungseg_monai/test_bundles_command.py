"""`lungseg bundles`: what it tells of bundles, whole and damaged, and that it is quick to tell."""

import json
import subprocess
import sys

import pytest

from lungseg_monai import bundle
from lungseg_monai.bundle_facts import bundle_facts, bundle_names
from lungseg_monai.cli import main

METADATA = {
    "version": "1.0.0", "name": "A", "task": "find lungs", "references": ["Somebody: Something"],
    "image_classes": "CT", "pred_classes": "logits", "data_source": "phantoms", "phantom_only": True,
    "network_data_format": {
        "inputs": {"image": {"modality": "CT", "num_channels": 1, "spatial_shape": ["16*n", "16*n", 8]}},
        "outputs": {"pred": {"num_channels": 2, "spatial_shape": ["16*n", "16*n", 8]}},
    },
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of bundles with one that ships weights, in place of ours."""
    folder = tmp_path / "bundles"
    for name in ("configs", "models", "docs"):
        (folder / "made" / name).mkdir(parents=True)
    (folder / "made" / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "made" / "models" / "model.pt").write_bytes(bytes(1_500_000))
    weights = {"run": {"epoch": 3, "numbers": {"width": 4}, "scores": {"dice": 0.9126, "loss": 0.3}}}
    (folder / "made" / "models" / "weights.json").write_text(json.dumps(weights))
    (folder / "made" / "docs" / "README.md").write_text("# made\n\n| | |\n|---|---|\n| licence | CC0, all of it |\n")
    monkeypatch.setattr(bundle, "CHECKOUT", folder)
    monkeypatch.setattr(bundle, "INSTALLED", tmp_path / "nowhere")
    return folder


def test_all_that_a_bundle_says_of_itself_is_told(place, capsys):
    assert main(["bundles"]) == 0
    out = capsys.readouterr().out
    for word in ("made\n", "find lungs", "Somebody: Something", "1 x 16n x 16n x 8", "model.pt 1.5 MB", "CC0",
                 "phantoms alone", "dice 0.913"):  # fmt: skip
        assert word in out
    assert "loss" not in out
    assert main(["bundles", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"bundles": [bundle_facts("made")], "problems": []}
    assert printed["bundles"][0]["weights"]["files"] == {"model.pt": 1_500_000}


def test_without_weights_it_says_so(place, capsys):
    for file in (place / "made" / "models").iterdir():
        file.unlink()
    assert main(["bundles"]) == 0
    assert "none shipped" in capsys.readouterr().out
    assert bundle_facts("made")["weights"] is None


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"network_data_format": 3}'])
def test_a_damaged_bundle_is_named_and_costs_no_other(place, content, capsys):
    (place / "broken" / "configs").mkdir(parents=True)
    (place / "broken" / "configs" / "metadata.json").write_text(content)
    assert bundle_names() == ["broken", "made"]
    assert main(["bundles"]) == 1
    out, err = capsys.readouterr()
    assert "find lungs" in out and "broken" in err and "Traceback" not in err
    assert main(["bundles", "broken"]) == 3
    (place / "made" / "models" / "weights.json").write_text("{")
    assert main(["bundles", "--json"]) == 3


def test_an_unknown_name_is_wrong_usage_and_the_nearest_is_told(capsys):
    assert main(["bundles", "ct_lung_unet"]) == 2
    assert "Did you mean ct_lung_unet2d?" in capsys.readouterr().err


def test_our_bundles_are_listed_without_anything_heavy():
    code = (
        "import sys\n"
        "from lungseg_monai.cli import main\n"
        "code = main(['bundles'])\n"
        "heavy = {'torch', 'monai', 'numpy', 'yaml', 'nibabel', 'scipy'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"ct_lung_unet2d", "ct_lungs", "cxr_lung_unet"} <= set(done.stdout.splitlines())


def test_parameters_are_counted_for_each_setting_and_for_the_shipped_weights(capsys):
    """The counts that docs/papers and the networks' own tests have."""
    assert main(["bundles", "cxr_lung_resnet50_unet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["paper"] == 32_517_058
    assert main(["bundles", "ct_tumor_recurrent_denseunet"]) == 0
    out = capsys.readouterr().out
    assert "19,096,833 (paper)" in out and "1,200,321 (shipped)" in out
