"""Time `lungseg segment` and its rivals, and write the page of it: `python -m benchmarks.segmentation`.

With --rounds 2 it took some two minutes on four idle cores. --quick writes nothing.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.segmentation import cases, page
from benchmarks.segmentation.timing import Row, in_turn, ours

PAGE = Path("docs/reference/segmentation-speed.md")
BACKENDS = ("openvino", "onnxruntime", "torch")
COHORT = 5


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.segmentation", description=__doc__)
    top.add_argument("--quick", action="store_true", help="OpenVINO and the threshold method alone, one run each")
    top.add_argument("--out", type=Path, help=f"where the page goes (default: {PAGE}, of a full run alone)")
    top.add_argument("--work", type=Path, help="keeps the made cases for the next run (default: removed)")
    top.add_argument("--rounds", type=int, default=3, help="timed runs of each command (default: %(default)s)")
    top.add_argument(
        "--no-tall", action="store_true", help="leave out the image of 2000 slices, which takes 1 GB of disk"
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="segmentation-") as temporary:
        text = measured(arguments, (arguments.work or Path(temporary)).resolve())
    out = arguments.out or (None if arguments.quick else PAGE)
    if out is None:
        print(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(f"wrote {out}")
    return 0


def measured(arguments: argparse.Namespace, work: Path) -> str:
    """The page. work: where cases lie and results come and go."""
    work.mkdir(parents=True, exist_ok=True)
    case, out = cases.one_case(work / "case"), work / "out"
    there = [name for name in BACKENDS if find_spec(name) and not (arguments.quick and name != "openvino")]
    single = [Row(f"`lungseg segment`, {name}", ours(case, out, "--backend", name)) for name in there]
    single.append(Row("the threshold method in its place", _module("threshold", case, out)))
    rounds = 1 if arguments.quick else arguments.rounds
    in_turn(single, work, rounds)
    if find_spec("torch") and not arguments.quick:
        single.append(Row("U-Net like lungmask's R231, random weights", _module("rival", case, out)))
        in_turn(single[-1:], work, 0)
    many: list[Row] = []
    if not arguments.quick:
        cohort = cases.cohort(case, work / "cohort", COHORT)
        many = [Row("openvino", ours(cohort, out, "--backend", "openvino"))]
        in_turn(many, work, rounds)
    tall: list[Row] = []
    if not (arguments.quick or arguments.no_tall):
        image = cases.tall_image(case, work / "tall.nii")
        tall = [Row("openvino", ours(image, out, "--backend", "openvino"))]
        in_turn(tall, work, 0)
    shutil.rmtree(out, ignore_errors=True)
    return page.text(single, many, tall, COHORT)


def _module(name: str, case: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.segmentation.{name}", str(case), str(out)]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path.cwd()))  # for the commands, which run in a folder of their own
    sys.exit(main())
