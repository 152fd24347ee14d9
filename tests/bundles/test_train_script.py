"""The one command that trains the shipped lung network: three stages, resumable, then the export."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "tutorials" / "train_ct_lungs.sh"

FAKE = """#!/usr/bin/env bash
# Stands in for python: notes what it is asked; a training ends, unless its run is named in $PAUSE.
if [ "$1" = "-c" ]; then exec {python} "$@"; fi
echo "$@" >> "$LOG"
for ((n = 1; n <= $#; n++)); do [ "${{!n}}" = "--output_dir" ] && next=$((n + 1)) && run=${{!next}}; done
[ -z "${{run:-}}" ] && exit 0
mkdir -p "$run/checkpoints" && touch "$run/checkpoints/last.pt"
status=done; [ "$(basename "$run")" = "${{PAUSE:-}}" ] && status=paused
echo "{{\\"status\\": \\"$status\\"}}" > "$run/run.json"
"""


@pytest.fixture
def train(tmp_path):
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    found = subprocess.run(["which", "python3"], capture_output=True, text=True).stdout.strip()
    (tools / "python").write_text(FAKE.format(python=found))
    (tools / "python").chmod(0o755)

    def run(*arguments, pause=""):
        log.write_text("")
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(log), "PAUSE": pause}
        command = ["bash", str(SCRIPT), str(tmp_path / "RUN"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return log.read_text().splitlines()

    return run


def test_all_stages_are_trained_and_exported(train):
    first, second, third, export = train("--threads", "3")
    assert "/RUN/first " in first and "--threads 3" in first and "--pretrained" not in first
    assert "/RUN/second " in second and "--pretrained" in second and "first/checkpoints/best.pt" in second
    assert "/RUN/third " in third and "second/checkpoints/best.pt" in third and "{'sickness': 1.7}" in third
    assert "export_lungs" in export and export.split()[2].endswith("/RUN/third") and "--last" in export
    assert len(train()) == 1  # all are finished: exported again, no more


def test_a_paused_stage_is_resumed_before_the_next_begins(train):
    (first,) = train(pause="first")
    assert "--resume" not in first
    again = train()
    assert "--resume true" in again[0] and "/RUN/second" in again[1]
