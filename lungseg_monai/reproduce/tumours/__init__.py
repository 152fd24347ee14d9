"""Papers of tumours in CT: the kind of plan whose cases are patients, some of them without a tumour."""

from lungseg_monai.reproduce.tumours.kind import Tumours

__all__ = ["Tumours"]
