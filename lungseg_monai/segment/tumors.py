"""Lung tumours in a chest CT, by the bundles of Kamal et al.'s networks: all stages from the image to its own grid."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.stages import Stages
from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import ConfigError, ModelError, UsageError
from lungseg_monai.inplane import resize_linear
from lungseg_monai.lung_box import Box, lung_box, scaled_box
from lungseg_monai.memory_use import room_bytes
from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.segment import models
from lungseg_monai.segment.backends import Backend, open_backend
from lungseg_monai.segment.backends.weights import TABLE, table_of
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.phantom_only import refuse_patients
from lungseg_monai.segment.result import Flag, Segmentation
from lungseg_monai.segment.trained import checkpoint_of, open_trained
from lungseg_monai.segment.tumor_flags import confidence_of, tumor_flags
from lungseg_monai.segment.tumor_grid import AT_ONCE, Upright, network_volume, upright
from lungseg_monai.segment.tumor_options import TRAINED, TumorOptions, divisor_of, split_options
from lungseg_monai.segment.uncertainty import Limits
from lungseg_monai.tuned import chosen_rules, read_tuned
from lungseg_monai.window_batches import GB, windows_at_once
from lungseg_monai.window_stream import WindowAverage, WindowOptions, per_window_maximum

Floats = NDArray[np.float32]
NAME = "gtv"
ROOM = 0.9  # of the memory that is left: the libraries take some of their own
GREY = 0.02  # of the network's range of grey: how much brighter and darker, asked for the uncertainty
BORDER_MM = 4.0
FINEST_MM = 0.75  # for a tumour's raggedness: half of what does for lungs
LIMITS = Limits(border=18.0, dice=0.8, ragged=1.5)  # beyond what five validation phantoms had; not measured
LEAST = 20  # voxels of the network
WITHIN_MM = 15.0  # of the lungs, where the rules say nothing: tumours at the wall and mediastinum lie outside of them


class TumorModel:
    """Label 1 "gtv" for a CT of any grid, beside the lungs if wanted. See `lungseg_monai.segment.models.Model`.

    bundle: folder with models/model.onnx, model.pt. device, backend, threads: as `open_backend` takes them.
    weights: instead of the bundle's, a run's folder or a checkpoint, by torch. rules: the bundle's own, over those of
    TumorRules; postprocessing.json beside the weights comes before them. options: TumorOptions and rules by keyword.
    Raises ModelError where weights or a backend are missing or damaged, UsageError for options that make no sense.
    """

    stem = "tumor"
    modality = "CT"

    def __init__(
        self,
        bundle: Path,
        device: str = "auto",
        backend: str = "auto",
        threads: int | None = None,
        weights: str | Path | None = None,
        rules: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        bundle = Path(bundle)
        self.names = {1: NAME}
        given, changes = split_options(options)
        at = bundle / "models" if weights is None else checkpoint_of(Path(weights))
        self.network: Backend
        if weights is not None:
            precision = given.get("precision", TumorOptions.precision)
            self.network, numbers = open_trained(at, device, threads, precision)
            given |= {name: numbers[name] for name in TRAINED if name in numbers}
            given["divisor"] = divisor_of(numbers.get("network_name"))
        self.options = TumorOptions(**given)
        self.rules = _rules(self.options, at, rules, changes)
        if weights is None:
            self.network = open_backend(bundle, backend, device, threads, self.options.precision)
            _check_shipped(at, self.options, self.network.sha256)
        told = _metadata(bundle)
        self.phantom_only = weights is None and told.get("phantom_only") is True
        self.threads = threads or cores()
        self.lungs: models.Model | None = None
        if self.options.within:
            lungs_backend = "auto" if weights is not None else backend
            self.lungs = models.open_model(
                self.options.lungs_model, device=device, backend=lungs_backend, threads=threads
            )
        self.facts: dict[str, Any] = {
            "bundle": bundle.name,
            "version": told.get("version"),
            "weights_sha256": self.network.sha256,
            "backend": self.network.name,
            "device": self.network.device,
            "precision": getattr(self.network, "precision", self.options.precision),
            "threads": self.threads,
            "rules": self.rules.as_dict(),
            "phantom_only": self.phantom_only,
            "within": _who(self.lungs),
        }

    def segment(self, image: Image, *, probabilities: bool = False) -> Segmentation:
        """Tumours of one CT; none found is the flag "no_tumor". Raises ImageError for no CT, and for a patient's CT
        where the weights have seen phantoms alone."""
        from lungseg_monai.segment.checks import check_image

        said: tuple[Flag, ...] = ()
        if self.phantom_only:
            said = refuse_patients(image.phantom, self.options.allow_phantom_weights, self.facts["bundle"])
        stages = Stages()
        with stages.stage("check"):
            image, flags = check_image(image)
        place = self._placed(image, stages)
        probability = self._probability(place, stages)
        with stages.stage("rules"):
            mask = mask_on_image(probability, self.rules, place.up.spacing_mm, place.up.shape_ij, place.lungs)
            found = tumor_flags(mask, place.lungs)
            labels = place.up.as_image(mask.view(np.uint8))
        held = None
        if probabilities:
            with stages.stage("probability"):
                held = place.up.as_image(_enlarged(probability, place.up.shape_ij))[None]
        whole = Segmentation(
            labels_ijk=labels,
            names=self.names,
            flags=(*said, *flags, *place.flags, *found, *self._notes()),
            confidence=confidence_of(probability, self.rules.threshold) | place.confidence,
            timings_s=dict(stages.seconds),
            probability=held,
            facts={"network_shape_ijk": list(probability.shape), "network_box_ijk": place.box},
            beside=place.beside,
        )
        return self._doubted(whole, place, probability, image, stages) if self.options.uncertainty else whole

    def probabilities(self, image: Image) -> tuple[Upright, Floats]:
        """How an image lies, and what the network says of all of it: (H, W, K) on its grid, axes L, P, S."""
        from lungseg_monai.segment.checks import check_image

        place = _Place(upright(check_image(image)[0]))
        return place.up, self._probability(place, Stages())

    def _placed(self, image: Image, stages: Stages) -> "_Place":
        """Where to look: everywhere, or around the lungs, which are found first."""
        with stages.stage("grid"):
            up = upright(image)
        if self.lungs is None:
            return _Place(up)
        lungs = self.lungs.segment(image)
        for name, seconds in lungs.timings_s.items():
            stages.add({f"lungs: {name}": seconds})
        mask = up.turned(lungs.labels_ijk != 0)
        beside = {self.lungs.stem: lungs}
        around = lung_box(mask, up.spacing_mm, max(self.options.margin_mm, self.rules.within_mm or 0.0))
        if around is None:
            what = "no lung was found, so the tumour was looked for in the whole image"
            return _Place(up, beside=beside, flags=(*lungs.flags, Flag("searched_everywhere", what)))
        height, width = self.options.spatial_size
        box = scaled_box(around, up.array.shape, (height, width, up.array.shape[2]))
        return _Place(up, mask, box, beside, lungs.flags, dict(lungs.confidence))

    def _doubted(
        self, found: Segmentation, place: "_Place", probability: Floats, image: Image, stages: Stages
    ) -> Segmentation:
        """`found` with the tumour's uncertainty: of what lies above the rules' threshold, before they dilate it."""
        from lungseg_monai.segment.uncertainty import ask, doubted, numbers, percent

        threshold = self.rules.threshold
        with stages.stage("grid"):
            shown = self._volume(place)
        with stages.stage("network again"):
            some = tuple(slice(*span) for span in place.box or ((0, size) for size in shown.shape))
            answers = ask(
                lambda part: self._averaged(part, None, part=True)[None],
                np.ascontiguousarray(shown[some]),
                probability[some][None],
                GREY,
                threshold=threshold,
            )
        with stages.stage("uncertainty"):
            spread = np.zeros_like(probability)
            spread[some] = answers.spread
            i, j, k = place.up.spacing_mm
            (height, width), (rows, columns) = place.up.shape_ij, probability.shape[:2]
            spacing = (i * height / rows, j * width / columns, k)
            told = numbers(answers, {NAME: probability[some] > threshold}, spacing, BORDER_MM, LEAST)
            held = percent(place.up.as_image(_enlarged(spread, place.up.shape_ij)))
            found = doubted(found, answers, told, held, image.spacing_mm, LIMITS, FINEST_MM)
        return replace(found, timings_s=dict(stages.seconds))

    def _volume(self, place: "_Place") -> Floats:
        options = self.options
        height, width = options.spatial_size
        return network_volume(place.up.array, options.intensity, options.window_hu, (height, width))

    def _probability(self, place: "_Place", stages: Stages) -> Floats:
        """(H, W, K) float32 on the network's grid, axes L, P, S."""
        with stages.stage("grid"):
            volume = self._volume(place)
        with stages.stage("network"):
            return self._averaged(volume, place.box)

    def _averaged(self, volume: Floats, box: Box | None, *, part: bool = False) -> Floats:
        """The mean of windows over a volume on the network's grid, or over a box in it. part: `volume` is a part of its
        planes, where a window's maximum, which is 1 on stretched planes, can't be told."""
        options = self.options
        (i0, i1), (j0, j1), _ = box or tuple((0, size) for size in volume.shape)
        laid = WindowOptions(
            slices=options.slices,
            stride=options.stride,
            batch_size=options.batch_size or windows_at_once((i1 - i0, j1 - j0), options.width),
            divisor=options.divisor,
            box=box,
            memory_gb=_memory_gb(options),
            prepare_window=per_window_maximum if options.intensity == "stretch" and not part else None,
        )
        found: Floats = WindowAverage(self.network, laid, self.network.notes)(volume)
        return found

    def _notes(self) -> tuple[Flag, ...]:
        self.facts["device"] = self.network.device
        return tuple(Flag("backend", one, "note") for one in dict.fromkeys(self.network.notes))


@dataclass(frozen=True, eq=False)
class _Place:
    """An upright image, and where in it to look. lungs: bool (I, J, K), None for everywhere. box: on the network's."""

    up: Upright
    lungs: NDArray[np.bool_] | None = None
    box: Box | None = None
    beside: dict[str, Segmentation] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    confidence: dict[str, float] = field(default_factory=dict)


def _memory_gb(options: TumorOptions) -> float | None:
    """What averaging may take: as the options say, else what the process' own limit leaves."""
    room = room_bytes()
    return options.memory_gb if options.memory_gb or room is None else max(ROOM * room / GB, 1e-6)


def _check_shipped(folder: Path, options: TumorOptions, used: str) -> None:
    """Raises ModelError where a bundle's metadata.json names other numbers than its weights were trained with, or
    UsageError where the tuned rules beside them were made for others."""
    numbers = table_of(folder).get("run", {}).get("numbers", {})
    told = {name: getattr(options, name) for name in TRAINED}
    other = [name for name in TRAINED if name in numbers and _plain(told[name]) != _plain(numbers[name])]
    if other:
        what = ", ".join(f"{name} {_plain(told[name])} (trained with {_plain(numbers[name])})" for name in other)
        raise ModelError(
            f"configs/metadata.json of {folder.parent.name} does not say what its weights were trained with ({TABLE}): "
            f"{what}. Export them again (python -m lungseg_monai.training.export_tumor), or mend its segmenter"
        )
    if options.rules_name != "tuned":
        return
    try:
        read_tuned(folder, used)
    except ConfigError as error:
        raise UsageError(f"{error}; or choose rules by name (--rules recommended)") from error


def _plain(value: Any) -> Any:
    """A list of numbers is equal to a tuple of them."""
    return value if isinstance(value, str | int | float) else list(value)


def _rules(options: TumorOptions, weights: Path, own: dict[str, Any] | None, changes: dict[str, Any]) -> TumorRules:
    try:
        rules = chosen_rules(options.rules_name, weights, own, changes)
        if options.within and rules.within_mm is None:
            rules = TumorRules(**{**asdict(rules), "within_mm": WITHIN_MM})
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return rules


def _enlarged(probability: Floats, shape_ij: tuple[int, int]) -> NDArray[np.float16]:
    """On the image's grid, linearly, a few slices at a time."""
    out = np.empty((*shape_ij, probability.shape[2]), np.float16)
    for first in range(0, out.shape[2], AT_ONCE):
        some = slice(first, first + AT_ONCE)
        out[:, :, some] = resize_linear(probability[:, :, some], shape_ij)
    return out


def _who(lungs: models.Model | None) -> dict[str, Any] | None:
    """Which model the lungs were found by, whatever ran it."""
    if lungs is None:
        return None
    facts = lungs.facts
    weights = facts.get("weights_set_sha256", facts.get("weights_sha256"))
    return {"bundle": facts.get("bundle"), "version": facts.get("version"), "weights_set_sha256": weights}


def _metadata(bundle: Path) -> dict[str, Any]:
    path = bundle / "configs" / "metadata.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read ({error}): install the package again") from error
    return content if isinstance(content, dict) else {}
