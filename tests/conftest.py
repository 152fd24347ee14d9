"""What all tests share: the real data, if there is any, and a count of what was skipped for want of it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

NO_DATA = "LUNGSEG_TEST_DATA is not set to a folder with the real test data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data; skips where there is none."""
    folder = os.environ.get("LUNGSEG_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip(NO_DATA)
    return Path(folder)


@pytest.fixture(autouse=True)
def no_personal_configuration(tmp_path_factory, monkeypatch):
    """Tests neither read nor write the user's own configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_DATA in str(report.longrepr)]
    terminalreporter.write_line(f"{len(skipped)} tests skipped for want of real data (LUNGSEG_TEST_DATA)")


# On CI the same examples every time: what it says today it says tomorrow. Everywhere else new ones are drawn.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
