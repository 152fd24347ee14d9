"""Named settings, and numbers that are checked before work begins."""

import pytest
import torch

from lungseg_monai.errors import CheckpointError, ConfigError
from lungseg_monai.training.numbers import check_numbers, choose_numbers

SETTINGS = {"recommended": {"epochs": 3, "width": 8}, "paper": {"epochs": 10, "width": 32}}


@pytest.fixture
def checkpoint(tmp_path):
    torch.save({"model": {}, "numbers": {"epochs": 5, "width": 16}}, tmp_path / "last.pt")
    return tmp_path / "last.pt"


def test_a_setting_is_a_row_of_the_table():
    numbers = choose_numbers("paper", SETTINGS)
    assert numbers == SETTINGS["paper"]
    numbers["epochs"] = 0
    assert SETTINGS["paper"]["epochs"] == 10


def test_a_checkpoint_brings_its_own(checkpoint):
    assert choose_numbers("paper", SETTINGS, checkpoint) == {"epochs": 5, "width": 16}
    with pytest.raises(CheckpointError):
        choose_numbers("paper", SETTINGS, checkpoint.with_name("other.pt"))


def test_a_setting_that_a_resume_would_pass_over_is_told(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    last = run / "checkpoints" / "last.pt"
    torch.save({"model": {}, "numbers": {"epochs": 5}}, last)
    (run / "run.json").write_text('{"setting": "paper"}')
    assert choose_numbers("paper", SETTINGS, last)["epochs"] == 5
    assert choose_numbers("recommended", SETTINGS, last)["epochs"] == 5  # what comes unasked
    (run / "run.json").write_text('{"setting": "recommended"}')
    with pytest.raises(ConfigError, match=r"setting 'recommended'.*--setting paper would change nothing"):
        choose_numbers("paper", SETTINGS, last)


def test_an_unknown_setting_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'papre'; there are: recommended, paper\. Did you mean paper\?"):
        choose_numbers("papre", SETTINGS)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("epochs", [1, 300], [0, -1, 1.5, "ten", True, None]),
        ("batch_size", [1], [0, "3"]),
        ("fold", [None, 0, 4], [-1, "a"]),
        ("seed", [0, 7], [-1, 0.5, "abc"]),
        ("num_workers", [0, 2], [-1, "two"]),
        ("cache_gb", [0.5, 8], [0, -1, "much"]),
        ("threshold", [0.0, 0.5, 1], [3, -0.1, "half"]),
        ("keep_largest", [0, 2], [-1, 1.5]),
        ("learning_rate", [1e-5, 1], [0, -1, "fast"]),
        ("alpha", [0, 0.5, 1], [1.1, -0.1, None]),
        ("empty_slices", [0.0, 1], [2]),
        ("spatial_size", [[128, 96], (64, 64)], [128, [128], "128", ["a", "b"], [0, 64], [32.5, 32]]),
        ("window_hu", [[-1000, 400]], [[400, -1000], [0, 0]]),
        ("schedule", ["cosine", "constant", "plateau"], ["cosin", 3]),
        ("accumulate", [1, 4], [0, 1.5]),
        ("norm_momentum", [0.01, 0.1], [-0.1, 2]),
        ("dropout", [None, 0, 0.5], [1.5, "much"]),
        ("early_stop", [None, 15], [0, "never"]),
        ("rate_decay", [0, 2e-7], [-1e-7, None]),
        ("l1", [0, 1e-5], [-1e-7, None, "much"]),
        ("l2", [0.0, 1], [-1, True]),
        ("augmentations", [[], ["flip", "noise"]], ["flip", ["flop"], [1], None]),
        ("tensorboard", [True, False], ["yes", 1]),
        ("skip_ends", [0, 0.2], [0.5, -0.1]),
        ("only_labelled", [True, "run"], [False, "all", 1]),
        ("empty_patches", [0, 0.4], [1, -0.1, None, True]),
        ("intensity", ["window", "stretch"], ["log"]),
        ("architecture", [None, "code", "text"], ["paper"]),
        ("patches_per_epoch", [None, 100], [0]),
        ("probabilities", [{}, {"flip": 0.5, "blur": 0}], [{"flip": 2}, 0.5, None]),
        ("augment", [True, False], ["yes", 1]),
    ],
)
def test_each_number_is_of_its_kind(name, good, bad):
    for value in good:
        assert check_numbers({name: value}) == {name: value}
    for value in bad:
        with pytest.raises(ConfigError, match=f"{name} must be"):
            check_numbers({name: value})


def test_a_size_that_the_network_can_not_halve_is_refused():
    assert check_numbers({"spatial_size": [32, 48]}, divisible_by=16)
    with pytest.raises(ConfigError, match=r"spatial_size must be divisible by 16.*\[33, 48\]"):
        check_numbers({"spatial_size": [33, 48]}, divisible_by=16)


def test_a_resume_needs_epochs_that_are_not_done(tmp_path):
    trainer = {"iteration": 30, "epoch_length": 6, "max_epochs": 9}
    torch.save({"model": {}, "numbers": {"epochs": 9}, "trainer": trainer}, tmp_path / "last.pt")
    assert check_numbers({"epochs": 6}, tmp_path / "last.pt")
    for asked in (5, 3):
        with pytest.raises(ConfigError, match=rf"already has 5 epochs and {asked} were asked for.*more"):
            check_numbers({"epochs": asked}, tmp_path / "last.pt")


def test_only_the_epochs_may_change_on_resume(checkpoint):
    assert check_numbers({"epochs": 9, "width": 16}, checkpoint)["epochs"] == 9
    with pytest.raises(ConfigError, match=r"width 16 \(now 8\).*--pretrained"):
        check_numbers({"epochs": 5, "width": 8}, checkpoint)
