"""Papers of lungs in CT: the kind of plan whose trained models are whole runs, predicted, scored and reported."""

from lungseg_monai.reproduce.lungs.kind import Lungs

__all__ = ["Lungs"]
