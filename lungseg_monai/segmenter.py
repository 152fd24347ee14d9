"""Segmentation from Python: open a bundle once, then call it with images of any kind."""

import warnings
from typing import Any

from lungseg_monai.errors import UsageError
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.likes import take
from lungseg_monai.segment.models import open_model
from lungseg_monai.segment.outputs import choose_roi
from lungseg_monai.segment.result import Segmentation


class SegmentationWarning(UserWarning):
    """A segmentation that is most likely wrong, or empty."""


ROIS = ("both", "right", "left", "union")


class Segmenter:
    """A bundle that segments, loaded and ready: `Segmenter("ct_lungs")(image)`.

    device: auto, cpu, cuda, mps. backend: auto, openvino, onnxruntime, torch. threads: on the CPU, None for all cores.
    roi: both (1 right lung, 2 left lung), or one label: right, left, union. options: the model's own (LungOptions).
    Raises UsageError for what does not exist or go together, ModelError where weights or a backend are missing.
    For research, not a medical device.
    """

    def __init__(
        self,
        bundle: str = "ct_lungs",
        *,
        device: str = "auto",
        backend: str = "auto",
        threads: int | None = None,
        roi: str = "both",
        **options: Any,
    ) -> None:
        if roi not in ROIS:
            raise UsageError(f"roi {roi!r} is not known; choose one of {', '.join(ROIS)}")
        self.roi = roi
        self.model = open_model(bundle, device=device, backend=backend, threads=threads, **options)

    def __call__(self, image: Any, affine_ras: Any = None) -> Any:
        """uint8 labels on exactly the grid of `image`, as the like kind.

        image: a SimpleITK image, a nibabel image, a MONAI MetaTensor, or (array, affine_ras), each answered in kind; an
        array with affine_ras beside it is answered by an array; a path (DICOM folder or zip with one CT in it, NIfTI,
        NRRD, MHA) by a nibabel image. Values are HU. Raises ImageError for what can't be segmented; alarms (no lung
        found, sides swapped) are SegmentationWarnings, all other flags are in `segment`.
        """
        held, back = take(image, affine_ras)
        found = self._segmented(held, probabilities=False)
        for flag in found.flags:
            if flag.severity == "alarm":
                warnings.warn(f"{flag.code}: {flag.what}", SegmentationWarning, stacklevel=2)
        return back(found.labels_ijk)

    def segment(self, image: Any, affine_ras: Any = None, *, probabilities: bool = False) -> Segmentation:
        """As calling it, but all that is known: labels, names, flags, confidence, times, probabilities if wanted."""
        held, _ = take(image, affine_ras)
        return self._segmented(held, probabilities=probabilities)

    def _segmented(self, image: Image, probabilities: bool) -> Segmentation:
        return choose_roi(self.model.segment(image, probabilities=probabilities), self.roi, self.model.stem)
