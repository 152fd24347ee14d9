"""Both lungs of a chest radiograph, by the bundles cxr_lung_*: from the picture to labels of its own size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.stages import Stages
from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import ConfigError, ModelError, UsageError
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import NAMES
from lungseg_monai.pictures.steps import Steps, prepare, steps_of
from lungseg_monai.postprocessing_cxr import ANATOMICAL, CONVENTIONS, CxrRules, cxr_rules_from, lung_mask_on_image
from lungseg_monai.segment.backends import Backend, open_backend
from lungseg_monai.segment.radiographs.certainty import confidence_of, nearest_of, owners_of
from lungseg_monai.segment.radiographs.polarity import UNSURE, Seen, inverted, truly_inverted
from lungseg_monai.segment.result import Flag, Segmentation
from lungseg_monai.segment.uncertainty import Limits

Floats = NDArray[np.float32]
GREY = 0.05  # of what the network is shown, from its lowest to its highest value: how much brighter and darker
BORDER_PX = 4.0  # of the network's grid
LIMITS = Limits(border=5.3, dice=0.939, ragged=1.05)
LEAST = 100  # pixels of the network
INVERTED = "the grey values are inverted (air is bright): segmented as if dense were bright"


class PictureModel:
    """Labels 1 "lung_right" and 2 "lung_left" for a chest radiograph of any size; `modality` "CR".

    bundle: folder with models/model.onnx, model.pt. device, backend, threads: as `open_backend` takes them.
    steps, spatial_size: pre-processing and the network's rows and columns, as trained. convention: what the mask is to
    show; what the network was trained on stands in the bundle's metadata.json. "anatomical" by a network that draws
    "visible" completes the left lung (pictures/left_lung.py). rules: of postprocessing_cxr.RULES by name, or a mapping;
    rules that tell no sides give label 1 "lungs". mirror: ask the network twice, once mirrored, and take the mean.
    uncertainty: ask it again with the changes of changes.py, which the labels do not depend on.
    polarity: "auto" turns inverted grey values round where the network is surer of that, "as_is" never does.
    Raises ModelError where weights or a backend are missing or damaged, UsageError for options that make no sense.
    """

    stem = "lungs"
    modality = "CR"

    def __init__(
        self,
        bundle: Path,
        device: str = "auto",
        backend: str = "auto",
        threads: int | None = None,
        steps: str | Steps = "recommended",
        spatial_size: Sequence[int] = (256, 256),
        convention: str = "visible",
        rules: str | Mapping[str, Any] = "recommended",
        mirror: bool = False,
        polarity: str = "auto",
        uncertainty: bool = False,
        **unknown: Any,
    ) -> None:
        bundle = Path(bundle)
        _refuse_unknown(bundle.name, unknown, polarity)
        told = _metadata(bundle)
        own = str((told.get("segmenter") or {}).get("convention", "visible"))
        completes = _completes(bundle.name, own, convention)
        self.steps, plain = _checked(steps, rules)
        if completes and not plain.sides:
            raise UsageError(
                f"--rules {rules} tell left from right nowhere, and --convention anatomical completes each lung: "
                "take --rules recommended, or --convention visible"
            )
        self.rules = replace(plain, complete=ANATOMICAL if completes else plain.complete)
        self.names = dict(NAMES) if self.rules.sides else {1: "lungs"}
        self.spatial_size = int(spatial_size[0]), int(spatial_size[1])
        self.mirror, self.polarity, self.uncertainty = bool(mirror), polarity, bool(uncertainty)
        self.network: Backend = open_backend(bundle, backend, device, threads, "float32")
        self.facts: dict[str, Any] = {
            "bundle": bundle.name,
            "version": told.get("version"),
            "modality": self.modality,
            "weights_sha256": self.network.sha256,
            "backend": self.network.name,
            "device": self.network.device,
            "threads": threads or cores(),
            "convention": convention,
            "trained_convention": own,
            "rules": self.rules.as_dict(),
            "spatial_size": list(self.spatial_size),
            "mirror": self.mirror,
            "polarity": polarity,
        }

    def segment(
        self, picture: NDArray[Any], *, probabilities: bool = False, flipped: bool | None = None
    ) -> Segmentation:
        """Lungs of one picture (H, W), dense is bright, bool, unsigned integers or floats; or (H, W, 3 or 4) colours.

        flipped: whether it hangs mirrored, the patient's right on the picture's right; None: not known. The result's
        labels and probability (1, H, W) have rows and columns as their axes. Where there is no lung: no labels and the
        alarm "no_lung". Raises ImageError for what is no picture.
        """
        stages = Stages()
        seen, said = self._seen(picture, stages)
        shape = (picture.shape[0], picture.shape[1])
        with stages.stage("rules"):
            found = lung_mask_on_image(seen.probability, shape, self.rules, flipped)
            confidence = confidence_of(seen.probability, found.labels, self.names)
        held: Any = None
        if probabilities:
            with stages.stage("probability"):
                held = np.clip(resize(seen.probability, shape), 0, 1)[None]
        self.facts["device"] = self.network.device
        notes = tuple(Flag("backend", one, "note") for one in self.network.notes)
        whole = Segmentation(
            labels_ijk=found.labels,
            names=self.names,
            flags=(*said, *found.flags, *notes),
            confidence=confidence,
            timings_s=dict(stages.seconds),
            probability=held,
            facts={"convention": self.facts["convention"], "inverted": bool(said)},
        )
        return self._doubted(whole, inverted(picture) if said else picture, seen, stages) if self.uncertainty else whole

    def probability(self, picture: NDArray[Any]) -> Floats:
        """(H, W) of lung on the network's grid, of a picture as `segment` takes it, its polarity as it is."""
        return self._asked(picture, Stages()).probability

    def _seen(self, picture: NDArray[Any], stages: Stages) -> tuple[Seen, tuple[Flag, ...]]:
        """What the network says of the picture; of its negative where that is what it should have been."""
        first = self._asked(picture, stages)
        if self.polarity == "as_is" or not (first.lungs_are_bright or first.sure < UNSURE):
            return first, ()
        again = self._asked(inverted(picture), stages)
        return (again, (Flag("inverted", INVERTED),)) if truly_inverted(first, again) else (first, ())

    def _doubted(self, found: Segmentation, picture: NDArray[Any], seen: Seen, stages: Stages) -> Segmentation:
        """`found` with its uncertainty. picture: as the network saw it."""
        from lungseg_monai.segment.uncertainty import ask, doubted, numbers, percent

        with stages.stage("network again"):
            given = prepare(picture, self.steps, self.spatial_size)
            grey = GREY * float(np.ptp(given))
            answers = ask(lambda shown: self._run(shown)[None], given, seen.probability[None], grey, across=1)
        with stages.stage("uncertainty"):
            small = nearest_of(found.labels_ijk, self.spatial_size)
            owners = owners_of(small, self.names)
            by_side = np.stack([answers.votes[0] * (owners == label) for label in self.names]).astype(np.uint8)
            answers = replace(answers, votes=by_side)
            masks = {name: small == label for label, name in self.names.items()}
            told = numbers(answers, masks, (1.0, 1.0), BORDER_PX, LEAST)
            shape = found.labels_ijk.shape
            held = percent(resize(answers.spread, shape))
            finest = max(shape) / max(self.spatial_size)
            found = doubted(found, answers, told, held, (1.0, 1.0), LIMITS, finest)
        return replace(found, timings_s=dict(stages.seconds))

    def _asked(self, picture: NDArray[Any], stages: Stages) -> Seen:
        with stages.stage("prepare"):
            given = prepare(picture, self.steps, self.spatial_size)
        with stages.stage("network"):
            found = self._run(given)
            if self.mirror:
                found = (found + self._run(np.ascontiguousarray(given[:, ::-1]))[:, ::-1]) * np.float32(0.5)
        return Seen.of(picture, found, self.spatial_size)

    def _run(self, given: Floats) -> Floats:
        """(H, W) -> probabilities (H, W): by the sigmoid of one channel, the softmax of two."""
        logits = self.network(given[None, None])[0]
        if logits.ndim != 3 or len(logits) not in (1, 2):
            raise ModelError(f"the network gives logits of the shape {list(logits.shape)}; wanted 1 or 2 channels")
        lung = logits[0] if len(logits) == 1 else logits[1] - logits[0]
        found: Floats = 1 / (1 + np.exp(-np.clip(lung, -60, 60), dtype=np.float32))
        return found


def _refuse_unknown(name: str, unknown: Mapping[str, Any], polarity: str) -> None:
    if unknown:
        raise UsageError(
            f"{name} has no option {', '.join(sorted(unknown))}; there are: convention, rules, mirror, uncertainty"
        )
    if polarity not in ("auto", "as_is"):
        raise UsageError(f"polarity {polarity!r} is not known; choose auto or as_is")


def _completes(name: str, own: str, wanted: str) -> bool:
    """Whether lungs must be completed. Raises UsageError for what this network can't give."""
    if wanted not in CONVENTIONS:
        raise UsageError(f"--convention {wanted} is not known; choose one of {', '.join(CONVENTIONS)}")
    if wanted == "visible" and own == "anatomical":
        raise UsageError(
            f"--convention visible: {name} was trained to draw the anatomical lungs, and what lies behind the heart "
            "can't be taken away again; leave --convention out, or choose another --model"
        )
    return wanted != own


def _checked(steps: str | Steps, rules: str | Mapping[str, Any]) -> tuple[list[dict[str, Any]], CxrRules]:
    try:
        return steps_of(steps), cxr_rules_from(rules)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _metadata(bundle: Path) -> dict[str, Any]:
    """What the bundle's metadata.json says; nothing where it can't be read."""
    try:
        return dict(json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
