"""Segmentation from Python: open a bundle once, then call it with images of any kind."""

import warnings
from typing import Any

from lungseg_monai.errors import UsageError
from lungseg_monai.segment.likes import Back, take
from lungseg_monai.segment.models import open_model
from lungseg_monai.segment.outputs import choose_roi
from lungseg_monai.segment.result import Segmentation


class SegmentationWarning(UserWarning):
    """A segmentation that is most likely wrong, or empty."""


ROIS = ("both", "right", "left", "union")


class Segmenter:
    """A bundle that segments, loaded and ready: `Segmenter("ct_lungs")(image)`, `Segmenter("cxr_lung_unet")(array)`.

    device: auto, cpu, cuda, mps. backend: auto, openvino, onnxruntime, torch. threads: on the CPU, None for all cores.
    roi: both (1 right lung, 2 left lung), or one label: right, left, union. options: the model's own (LungOptions;
    of radiographs convention, rules, mirror: PictureModel). uncertainty=True asks the network again with small changes,
    for the map and the flags that `segment` gives.
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
        NRRD, MHA) by a nibabel image. Values are HU. For a model of radiographs: a path (PNG, JPEG, TIFF, BMP, DICOM),
        a Pillow image or an array (rows, columns), dense is bright, each answered by an array (rows, columns).
        Raises ImageError for what can't be segmented; alarms (no lung found, sides swapped) are SegmentationWarnings,
        all other flags are in `segment`.
        """
        found, back = self._found(image, affine_ras, probabilities=False)
        for flag in found.flags:
            if flag.severity == "alarm":
                warnings.warn(f"{flag.code}: {flag.what}", SegmentationWarning, stacklevel=2)
        return back(found.labels_ijk)

    def segment(self, image: Any, affine_ras: Any = None, *, probabilities: bool = False) -> Segmentation:
        """As calling it, but all that is known: labels, names, flags, confidence, times, probabilities if wanted.

        Of a radiograph labels_ijk is (rows, columns), and probability (1, rows, columns), of either lung.
        """
        return self._found(image, affine_ras, probabilities)[0]

    def _found(self, image: Any, affine_ras: Any, probabilities: bool) -> tuple[Segmentation, Back]:
        """What the model finds, and what turns its labels into the like of `image`."""
        if self.model.modality == "CR":
            return self._in_radiograph(image, affine_ras, probabilities), lambda labels: labels
        held, back = take(image, affine_ras)
        return choose_roi(self.model.segment(held, probabilities=probabilities), self.roi, self.model.stem), back

    def _in_radiograph(self, image: Any, affine_ras: Any, probabilities: bool) -> Segmentation:
        from lungseg_monai.segment.radiographs.likes import take_radiograph
        from lungseg_monai.segment.radiographs.worker import seen_in

        if affine_ras is not None:
            raise UsageError("a radiograph has no affine_ras: give the array alone, or choose a model of CT (ct_lungs)")
        return seen_in(take_radiograph(image), self.model, self.roi, probabilities)
