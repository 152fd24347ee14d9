"""Both lungs of a chest CT, by the bundle ct_lungs: all stages from the image to labels on its own grid."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import inf
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.stages import Stages
from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import ModelError, UsageError
from lungseg_monai.segment.back import Box, labels_on_image, probability_on_image
from lungseg_monai.segment.backends import Backend, open_backend
from lungseg_monai.segment.body import body_box, body_of
from lungseg_monai.segment.grid import View, image_box, to_image_grid, to_network_grid
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.infer import MOST_VOXELS
from lungseg_monai.segment.infer import probabilities as infer
from lungseg_monai.segment.options import LungOptions
from lungseg_monai.segment.result import Flag, Segmentation
from lungseg_monai.segment.spread import Labels
from lungseg_monai.segment.uncertainty import Answers, Limits, percent

NEEDED = ("cc3d", "fill_voids", "scipy")  # imported when the first image needs them: asked for before that
LARGE_IMAGE_BYTES = 2**29  # beside such an image the network gets half as many voxels at once
GREY_HU = 20.0  # how much brighter and darker an image is made, asked for the uncertainty
BORDER_MM = 6.0
LIMITS = Limits(border=4.6, dice=0.954, ragged=1.21)
LEAST = 200  # voxels of the network, 5 ml


@dataclass(frozen=True, eq=False)
class Begun:
    """An image that the network has seen. On the network's grid `view`: found, (3, I, J, K) float32, what it said;
    body, of body_of; classical, the lungs by threshold. stages: what was spent so far. answers: to changed images,
    where the uncertainty is wanted.
    """

    image: Image
    flags: tuple[Flag, ...]
    view: View
    found: NDArray[np.float32]
    body: Labels
    classical: Labels
    stages: Stages
    answers: Answers | None = None


class LungModel:
    """Labels 1 "lung_right" and 2 "lung_left" for a CT of any grid. See `lungseg_monai.segment.models.Model`.

    bundle: folder with models/model.onnx, model.pt. device, backend, threads: as `open_backend` takes them.
    spacing_mm, window_hu: what the network was trained on. mirror: ask it twice, once with left and right exchanged,
    and take the mean (images beyond LARGE_IMAGE_BYTES are asked once, for their memory). uncertainty: ask it again with
    the changes of changes.py, which the labels do not depend on. options: LungOptions, or its fields by keyword.
    Raises ModelError where weights or a backend are missing or damaged, UsageError for options that make no sense.
    """

    stem = "lungs"
    modality = "CT"

    def __init__(
        self,
        bundle: Path,
        device: str = "auto",
        backend: str = "auto",
        threads: int | None = None,
        spacing_mm: float = 3.0,
        window_hu: tuple[float, float] = (-1024.0, 600.0),
        mirror: bool = False,
        uncertainty: bool = False,
        options: LungOptions | None = None,
        **fields: Any,
    ) -> None:
        _refuse_missing()
        self.names = {1: "lung_right", 2: "lung_left"}
        self.options = _options(options, fields)
        self.spacing_mm, self.window_hu = float(spacing_mm), (float(window_hu[0]), float(window_hu[1]))
        self.mirror, self.uncertainty = mirror, uncertainty
        self.threads = threads or cores()
        self._network_lock = Lock()
        self.network: Backend = open_backend(Path(bundle), backend, device, threads)
        self.facts: dict[str, Any] = {
            "bundle": Path(bundle).name,
            "version": _version(Path(bundle)),
            "weights_sha256": self.network.sha256,
            "backend": self.network.name,
            "device": self.network.device,
            "threads": self.threads,
        }

    def segment(self, image: Image, *, probabilities: bool = False) -> Segmentation:
        """Lungs of one CT. Where there are none: no labels and the alarm "no_lung". Raises ImageError for no CT."""
        return self.complete(self.begin(image), probabilities=probabilities)

    def begin(self, image: Image) -> Begun:
        """The first part of `segment`: all that needs the network. May run beside `complete` of another image."""
        from lungseg_monai.segment.checks import check_image

        stages = Stages()
        with stages.stage("check"):
            image, flags = check_image(image)
        with stages.stage("grid"):
            view = to_network_grid(image, self.spacing_mm)
            view = view.crop(body_box(view.hu, self.spacing_mm))
        if image.array_ijk.nbytes > LARGE_IMAGE_BYTES:  # one after the other, for their memory
            found = self._asked(view, MOST_VOXELS // 2, stages)
            answers = self._asked_again(view, found, MOST_VOXELS // 2, stages)
            return Begun(image, flags, view, found, *self._classical(view, stages), stages, answers)
        with ThreadPoolExecutor(1) as beside:
            classical = beside.submit(self._classical, view, stages)
            found = self._asked(view, MOST_VOXELS, stages)
            answers = self._asked_again(view, found, MOST_VOXELS, stages)
            return Begun(image, flags, view, found, *classical.result(), stages, answers)

    def complete(self, begun: Begun, *, probabilities: bool = False) -> Segmentation:
        """The second part of `segment`: from what the network said of an image to its labels."""
        image, view, stages = begun.image, begun.view, begun.stages
        decision = self._decided(begun)
        with stages.stage("back"):
            labels, box = labels_on_image(decision.probability, view, self.threads)
        if box is not None:
            with stages.stage("borders"):
                self._refine(labels, image, box)
        held = None
        if probabilities:
            with stages.stage("probability"):
                held = probability_on_image(decision.probability, view, self.threads)
        found = Segmentation(
            labels_ijk=labels,
            names=self.names,
            flags=(*begun.flags, *decision.flags, *self._notes()),
            confidence=decision.confidence,
            timings_s=dict(stages.seconds),
            probability=held,
            facts={"network_shape_ijk": list(view.hu.shape)},
        )
        return found if begun.answers is None else self._doubted(found, begun, begun.answers, decision.labels)

    def _asked(self, view: View, most: int, stages: Stages) -> NDArray[np.float32]:
        """What the network says, (3, I, J, K). One image at a time: it takes all cores, and much memory."""
        with self._network_lock, stages.stage("network"):
            found = infer(view.hu, self.network, self.window_hu, most)
            if self.mirror and most == MOST_VOXELS:
                again = infer(np.ascontiguousarray(view.hu[::-1]), self.network, self.window_hu, most)
                found += again[[0, 2, 1], ::-1]
                found *= 0.5
        return found

    def _asked_again(self, view: View, found: NDArray[np.float32], most: int, stages: Stages) -> Answers | None:
        """Answers to changed images, of the labels alone, aerated lung regained as in the rules; None: not wanted."""
        if not self.uncertainty:
            return None
        from lungseg_monai.segment.aerated import regain_aerated
        from lungseg_monai.segment.uncertainty import ask

        def answered(hu: NDArray[np.float32]) -> NDArray[np.float32]:
            return regain_aerated(infer(hu, self.network, self.window_hu, most), hu)[1:]

        with self._network_lock, stages.stage("network again"):
            return ask(answered, view.hu, regain_aerated(found, view.hu)[1:], GREY_HU, exchanged=(1, 0))

    def _doubted(self, found: Segmentation, begun: Begun, answers: Answers, labels: Labels) -> Segmentation:
        """`found` with its uncertainty. labels: on the network's grid."""
        from lungseg_monai.segment.uncertainty import doubted, numbers

        with begun.stages.stage("uncertainty"):
            masks = {name: labels == label for label, name in self.names.items()}
            told = numbers(answers, masks, (self.spacing_mm,) * 3, BORDER_MM, LEAST)
            limits = LIMITS if self.options.vessels == "in" else replace(LIMITS, ragged=inf)  # vessels are ragged
            held = _percent_on_image(answers, begun.view, self.threads)
            found = doubted(found, answers, told, held, begun.image.spacing_mm, limits)
        return replace(found, timings_s=dict(begun.stages.seconds))

    def _classical(self, view: View, stages: Stages) -> tuple[Labels, Labels]:
        """Where the body is, and the lungs that the threshold method finds in it: neither needs the network."""
        from lungseg_monai.segment.threshold import threshold_lungs_lps

        with stages.stage("second opinion"):
            spacing = (self.spacing_mm,) * 3
            body = body_of(view.hu, spacing)
            return body, threshold_lungs_lps(view.hu, spacing, body)

    def _decided(self, begun: Begun) -> Any:
        """The network's word, and what the rules and a second opinion make of it."""
        from lungseg_monai.segment.laterality import check_sides
        from lungseg_monai.segment.opinion import doubts_of
        from lungseg_monai.segment.rules import decide

        hu = begun.view.hu
        with begun.stages.stage("rules"):
            decision = decide(begun.found, hu, self.spacing_mm, self.options, begun.body)
        with begun.stages.stage("second opinion"):
            doubts = check_sides(decision.labels, hu, self.spacing_mm)
            doubts += doubts_of(decision.labels, begun.classical, hu, self.spacing_mm)
        return replace(decision, flags=(*decision.flags, *doubts))

    def _refine(self, labels: NDArray[np.uint8], image: Image, box: Box) -> None:
        """Draw the border by HU, in place, where there is lung and a little around it."""
        from lungseg_monai.segment.borders import refine

        wide = []
        for one, size, spacing in zip(box, labels.shape, image.spacing_mm, strict=True):
            margin = int(np.ceil(self.options.border_mm / spacing)) + 2
            wide.append(slice(max(one.start - margin, 0), min(one.stop + margin, size)))
        part = (wide[0], wide[1], wide[2])
        labels[part] = refine(labels[part], image.array_ijk[part], image.spacing_mm, self.options, threads=self.threads)

    def _notes(self) -> tuple[Flag, ...]:
        self.facts["device"] = self.network.device
        return tuple(Flag("backend", one, "note") for one in self.network.notes)


def _percent_on_image(answers: Answers, view: View, threads: int) -> NDArray[np.uint8]:
    """The spread on the image's grid, linearly, in whole percent; laid out in memory as the image is."""
    out = np.zeros([view.shape_ijk[axis] for axis in view.order], np.uint8).transpose(np.argsort(view.order))
    inside = image_box(view, tuple(slice(0, size) for size in answers.spread.shape))
    for part, found in to_image_grid(answers.spread[None], view, inside, threads):
        out[part] = percent(found[0])
    return out


def _refuse_missing() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ModelError(f"{' and '.join(missing)} not installed: pip install 'lungseg-monai[segment]'")


def _options(options: LungOptions | None, fields: dict[str, Any]) -> LungOptions:
    from dataclasses import fields as known

    names = [one.name for one in known(LungOptions)]
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise UsageError(f"ct_lungs has no option {', '.join(unknown)}; there are: {', '.join(names)}")
    return replace(options or LungOptions(), **fields)


def _version(bundle: Path) -> str | None:
    """What the bundle's metadata.json says it is; None where it says nothing (it is told in case.json, no more)."""
    try:
        said = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8")).get("version")
    except (OSError, ValueError, AttributeError):
        return None
    return None if said is None else str(said)
