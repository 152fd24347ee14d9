"""Whether lungs come out too large or too small: `python -m benchmarks.lungs.volume GROUP/ROW/NUMBER ...`.

Signed error of each case's volume and the mean Dice of its lungs, for the network's own border (`refine` off), the
border by HU, and both with the truth in the network's place. Without names: patients of another generator on all grids.
"""

import sys
from dataclasses import replace

import numpy as np

from benchmarks.lungs.judge import judge
from benchmarks.lungs.phantoms import ROWS
from benchmarks.lungs.plan import GROUPS
from benchmarks.lungs.roads import CEILING, NETWORK, model, segmented

HEAD = "| case | network, undrawn | drawn by HU | truth, undrawn | drawn by HU |\n|---|---|---|---|---|"


def main() -> None:
    names = sys.argv[1:] or [f"phantom/{row}/0" for row in ROWS if row not in ("full", "thin")]
    print(HEAD)
    whole = model(1)
    for name in names:
        group, row, number = name.split("/")
        sample = GROUPS[group].make(row, int(number))
        told = []
        for road in (NETWORK, CEILING):
            for refine in (False, True):
                whole.options = replace(whole.options, refine=refine)
                verdict = judge(segmented(sample, road)[0], sample)
                error = 100 * (sum(verdict.found_ml.values()) / sum(verdict.truth_ml.values()) - 1)
                told.append(f"{error:+.2f} %, {np.mean(list(verdict.dice.values())):.4f}")
        print(f"| {name} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
