"""Draw cases, segment them with --uncertainty, and print how well each number and flag tells the bad ones:

    python -m benchmarks.flags chests --count 38
    python -m benchmarks.flags chests --first 38 --count 20
    python -m benchmarks.flags films --data PREPARED --count 102

About ten seconds of one core a chest, one a film. --keep FILE keeps the rows as lines of JSON, and goes on from there.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.flags import draw
from benchmarks.flags.choose import Rows, table
from lungseg_monai.segment import lungs, pictures


def main(argv: Sequence[str] | None = None) -> int:
    top = argparse.ArgumentParser(prog="python -m benchmarks.flags", description=__doc__)
    top.add_argument("what", choices=("chests", "films"))
    top.add_argument("--count", type=int, default=60, metavar="N", help="default: %(default)s")
    top.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case; default: 0")
    top.add_argument("--data", type=Path, metavar="PREPARED", help="of films: their validation list is taken")
    top.add_argument("--model", default="cxr_lung_unet", help="of films; default: %(default)s")
    top.add_argument("--keep", type=Path, metavar="FILE")
    arguments = top.parse_args(argv)
    if arguments.what == "films" and arguments.data is None:
        top.error("films needs --data PREPARED")
    limits = lungs.LIMITS if arguments.what == "chests" else pictures.LIMITS
    print(table(rows_of(arguments), limits))
    return 0


def rows_of(arguments: argparse.Namespace) -> Rows:
    kept: Path | None = arguments.keep
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept and kept.is_file() else []
    first = arguments.first + len(rows)
    for number in range(first, arguments.first + arguments.count):
        if arguments.what == "chests":
            row = draw.chest(number).as_dict()
        else:
            row = draw.film(arguments.data, number, arguments.model).as_dict()
        rows.append(row)
        if kept:
            with kept.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
        print(f"\r{len(rows)} of {arguments.count}", end="", file=sys.stderr, flush=True)
    return rows[: arguments.count]


if __name__ == "__main__":
    sys.exit(main())
