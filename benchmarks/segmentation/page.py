"""What was measured as a page, good or bad."""

from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.page import machine, table
from benchmarks.segmentation.timing import Row

HEAD = """# Time and memory of `lungseg segment`

Written by `python -m benchmarks.segmentation`, which makes all that it measures.

- {day}, {machine}
- {versions}

Whole processes, Python's start and all imports included, files in the page cache; medians of the runs after a first
one. CPU is user + system time: where other work shares the machine it is the steadier figure. Peak memory: of all
processes of a run together, the first run.
"""
SINGLE = """
## One CT, DICOM folder to saved NIfTI

The phantom, 512 x 512 x 200 voxels of 0.98 x 0.98 x 1.83 mm (105 MB) with its RTSTRUCT in the folder. The targets:
under 4 s with OpenVINO, under 8 s with torch, under 1500 MB.
"""
RIVAL = """
The threshold method (`lungseg_monai.segment.threshold`: air within the body, its largest pieces, border by HU) runs in
the same command in the network's place, so reading, preview and writing cost the same. The U-Net has the size of
lungmask's (2D, 64 to 1024 channels, 256 x 256 slices in batches of 20; its weights can't be had offline) and is built
from torch's modules with random weights, reading and writing by SimpleITK, no clean-up: for its time alone.{scaled}
"""
STAGES = """
## Where the time goes

Seconds by stage (`--timings`). Stages overlap: measures and preview run beside the writing, and the model is opened
while the case is read.
"""
MANY = """
## {count} patients in one command

Copies of the same CT under other names, one process. The target: under 1.5 s a case after the first.
"""
TALL = """
## 2000 slices

512 x 512 x 2000 (1049 MB as int16; a chest of 600 slices over a body without lungs) as .nii.
"""


def text(single: Sequence[Row], many: Sequence[Row], tall: Sequence[Row], count: int) -> str:
    head = HEAD.format(day=date.today().isoformat(), machine=machine(), versions=_versions())
    scaled = ""
    rival = next((row for row in single if "lungmask" in row.name), None)
    if rival and not rival.failed:
        whole, network = rival.told(r"; ([\d.]+) s in all"), rival.told(r"network ([\d.]+) s")
        scaled = f"\nIts network ran on 20 of the 200 slices: scaled to all, {network:.0f} s of {whole:.0f} s in all."
    parts = [head, SINGLE, "\n", _table(single), RIVAL.format(scaled=scaled), STAGES, "\n", _stages(single)]
    if many:
        parts += [MANY.format(count=count), "\n", _many(many, single, count)]
    if tall:
        parts += [TALL, "\n", _table(tall)]
    return "".join(parts)


def _table(rows: Sequence[Row]) -> str:
    cells = []
    for row in rows:
        if row.failed:
            cells.append([row.name, f"failed: {row.failed[:80]}", "", "", ""])
            continue
        whole = row.told(r"; ([\d.]+) s in all")
        wall = f"{row.wall_s:.2f}" if whole is None else f"{whole:.0f} (scaled)"
        cpu = f"{row.cpu_s:.2f}" if whole is None else ""
        cells.append([row.name, wall, cpu, f"{row.peak_mb:.0f}", str(len(row.timed))])
    return table(["", "wall s", "CPU s", "peak MB", "runs"], cells)


def _stages(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row.stages and not row.failed]
    names = list(dict.fromkeys(name for row in known for name in row.stages))
    cells = [[name, *(f"{row.stages[name]:.2f}" if name in row.stages else "" for row in known)] for name in names]
    return table(["stage", *(row.name.replace("`lungseg segment`, ", "") for row in known)], cells)


def _many(many: Sequence[Row], single: Sequence[Row], count: int) -> str:
    cells = []
    for row in many:
        one = next((other for other in single if other.name.endswith(row.name) and not other.failed), None)
        if row.failed or one is None:
            cells.append([row.name, f"failed: {(row.failed or 'no single case')[:80]}", "", "", ""])
            continue
        each = [
            (all_s - first_s) / (count - 1) for all_s, first_s in ((row.wall_s, one.wall_s), (row.cpu_s, one.cpu_s))
        ]
        cells.append([row.name, f"{row.wall_s:.2f}", f"{each[0]:.2f}", f"{each[1]:.2f}", f"{row.peak_mb:.0f}"])
    return table(["", "wall s", "a case after the first, wall s", "CPU s", "peak MB"], cells)


def _versions() -> str:
    found = []
    for name in ("lungseg-monai", "openvino", "onnxruntime", "torch"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)
