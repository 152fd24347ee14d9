"""Everything declarative stands in setup.cfg; this only puts the bundles inside the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithBundles(build_py):
    """Copy bundles/ to lungseg_monai/_bundles in built distributions (an editable install reads the checkout)."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "lungseg_monai", "_bundles")
            shutil.copytree("bundles", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "runs"))


setup(cmdclass={"build_py": BuildWithBundles})
