"""Azurite, Microsoft's own emulator of Azure Blob storage, on loopback.

`python tests/azurite.py` installs it once into build/azurite (by npm); AZURITE_HOME names another folder with it.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = "3.35.0"
HOME = Path(__file__).parents[1] / "build" / "azurite"
MAIN = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")
ACCOUNT = "devstoreaccount1"
# The emulator's own account, the same everywhere (learn.microsoft.com/azure/storage/common/storage-use-azurite).
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PATIENCE_S = 120.0


def home() -> Path:
    return Path(os.environ.get("AZURITE_HOME") or HOME)


def missing() -> str:
    """Why Azurite can't run here; "" if it can."""
    if shutil.which("node") is None:
        return "Azurite needs node"
    return "" if (home() / MAIN).exists() else "Azurite is not installed: python tests/azurite.py"


def connection_string(port: int, key: str = KEY) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


@contextmanager
def azurite(folder: Path) -> Iterator[int]:
    """Run it with its data in `folder`; gives its port."""
    port = free_port()
    command = ["node", str(home() / MAIN), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
    process = subprocess.Popen(
        [*command, "--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Azurite did not listen within {PATIENCE_S:g} s")


def install() -> int:
    """By npm, into `home()`; nothing where it is there already. Returns an exit code, 0 too where npm is absent."""
    if (home() / MAIN).exists():
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not there: tests against Azurite will be skipped")
        return 0
    home().mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(home()), f"azurite@{VERSION}"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(install())
