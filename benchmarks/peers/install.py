"""Install the tools to compare with, each in an environment of its own: `python -m benchmarks.peers.install`.

They want versions of pydicom and others that rule each other out. plastimatch is no Python package:
`apt-get install plastimatch`.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType

from benchmarks.peers.registry import default_venvs, environment, find, modules


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.install", description=__doc__)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="which of them (default: all that are not there)")
    parser.add_argument("--into", type=Path, default=default_venvs(), metavar="DIR", help="default: %(default)s")
    arguments = parser.parse_args()
    failed = 0
    for module in modules():
        tool = find(module, arguments.into)
        wanted = not arguments.tools or environment(module, arguments.into).name in arguments.tools
        if tool.absent and wanted and module.PACKAGE is not None:
            failed += not _install(module, environment(module, arguments.into))
            tool = find(module, arguments.into)
        print(f"{tool.name}: {tool.absent or tool.version}", flush=True)
    return 1 if failed else 0


def _install(module: ModuleType, folder: Path) -> bool:
    venv.create(folder, with_pip=True)
    packages = [module.PACKAGE, *getattr(module, "NEEDS", ())]
    done = subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
