"""Peak memory of `lungseg-prep dicom2nifti`, in volumes: `python -m benchmarks.memory [DICOM]`.

Converts DICOM (a full phantom without it) in a process of its own, and counts what that process holds beyond what
the conversion of a tiny patient makes it hold.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from data_prep.phantom import PhantomOptions, write_cohort

CHILD = """
import resource, sys
from pathlib import Path
from data_prep.convert import convert
unit = 1 if sys.platform == "darwin" else 1024
out = Path(sys.argv[3])
convert(Path(sys.argv[1]), out / "tiny")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
columns, rows, slices = convert(Path(sys.argv[2]), out / "measured").dataset["cases"][0]["shape"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
volume = columns * rows * slices * 2
print(f"{columns} x {rows} x {slices}: volume {volume / 1e6:.0f} MB, process {before / 1e6:.0f} MB before", end="")
print(f" and {peak / 1e6:.0f} MB at its peak: {(peak - before) / volume:.2f} volumes more")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        tiny, full = Path(temporary, "tiny"), Path(temporary, "full")
        write_cohort(tiny, patients=1, seed=0, options=PhantomOptions(spacing_mm=(12, 12, 20)))
        if len(sys.argv) > 1:
            full = Path(sys.argv[1])
        else:
            write_cohort(
                full, patients=1, seed=0, options=PhantomOptions(size="full", spacing_mm=(0.9766, 0.9766, 1.83))
            )
        subprocess.run([sys.executable, "-c", CHILD, str(tiny), str(full), str(Path(temporary, "out"))], check=True)


if __name__ == "__main__":
    main()
