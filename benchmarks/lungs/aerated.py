"""How small a probability may still join aerated voxels to a lung: `python -m benchmarks.lungs.aerated [SCENES]`.

Mean, median and worst tenth of the lungs' Dice on made scenes (seed 4242: in no training, validation or stress table)
for several values of segment/aerated.py's LEAST, after all of `decide`. 1 leaves the network's own answer.
"""

import sys
from functools import partial
from unittest.mock import patch

import numpy as np

from lungseg_monai.bundle import bundle_path
from lungseg_monai.segment import rules
from lungseg_monai.segment.aerated import regain_aerated
from lungseg_monai.segment.backends import open_backend
from lungseg_monai.segment.infer import probabilities
from lungseg_monai.synthesis import make_scene

SEED, WINDOW_HU, MM, SMALL_ML = 4242, (-1024.0, 600.0), 3.0, 100
CHOICES = (1.0, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


def main() -> None:
    scenes = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    network = open_backend(bundle_path("ct_lungs"), "auto", "cpu", None)
    dice: dict[float, list[float]] = {least: [] for least in CHOICES}
    false_ml = dict.fromkeys(CHOICES, 0.0)
    for index in range(scenes):
        scene = make_scene(SEED, index)
        hu = scene.hu.astype(np.float32)
        seen = probabilities(hu, network, WINDOW_HU)
        for least in CHOICES:
            with patch.object(rules, "regain_aerated", partial(regain_aerated, least=least)):
                labels = rules.decide(seen, hu, MM).labels
            for label in (1, 2):
                truth, found = scene.lung == label, labels == label
                if truth.sum() * MM**3 / 1000 >= SMALL_ML:
                    dice[least].append(2 * (truth & found).sum() / (truth.sum() + found.sum()))
                elif not truth.any():
                    false_ml[least] += found.sum() * MM**3 / 1000
    print(f"{len(dice[1.0])} lungs of {scenes} scenes, seed {SEED}")
    print("| least | mean Dice | median | worst tenth | ml found of lungs that are not there |\n|---|---|---|---|---|")
    for least, values in dice.items():
        row = f"{np.mean(values):.4f} | {np.median(values):.4f} | {np.percentile(values, 10):.4f}"
        print(f"| {least:g} | {row} | {false_ml[least]:.0f} |")


if __name__ == "__main__":
    main()
