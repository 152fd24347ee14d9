"""Diseases drawn into a made chest: `afflict` draws a mix, FINDINGS holds each one by name.

A finding is `(chest, side, random) -> None`: it changes chest.hu and chest.lung in place and adds to
chest.facts["findings"] a dict of name, side (1 right, 2 left, 0 both or between), volume_ml and in_lung.
"""

from lungseg_monai.synthesis.pathology import (
    airspaces,
    collapse,
    fibrosis,
    fluid,
    free_air,
    masses,
    mediastinum,
    nodules,
    opacities,
    pleura,
    surgery,
)
from lungseg_monai.synthesis.pathology.mix import afflict
from lungseg_monai.synthesis.pathology.part import FINDINGS, FINDINGS_HELP, MIDLINE, Finding

__all__ = ["FINDINGS", "FINDINGS_HELP", "MIDLINE", "Finding", "afflict"]

_DRAWN_IN = (
    airspaces,
    collapse,
    fibrosis,
    fluid,
    free_air,
    masses,
    mediastinum,
    nodules,
    opacities,
    pleura,
    surgery,
)
