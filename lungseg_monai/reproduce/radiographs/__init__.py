"""Papers of lungs in chest radiographs: the kind of plan whose cases are pictures."""

from lungseg_monai.reproduce.radiographs.kind import Radiographs

__all__ = ["Radiographs"]
