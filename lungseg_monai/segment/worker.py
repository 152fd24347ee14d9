"""One process's work: the model, loaded once, and the cases one after another. What goes wrong costs one case."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from threading import Event
from typing import Any

from data_prep.errors import OutputError, PrepError
from data_prep.output import writing
from data_prep.versions import tool_versions
from data_prep.work import TOO_LITTLE
from lungseg_monai.errors import ImageError, LungsegError
from lungseg_monai.segment import models
from lungseg_monai.segment.cases import Case
from lungseg_monai.segment.journal import PARTIAL, fingerprint, is_foreign, put_in_place, read_case
from lungseg_monai.segment.look import dice_between, look_of
from lungseg_monai.segment.outputs import Files, OutputOptions, all_masks, choose_roi, label_of, write_all
from lungseg_monai.segment.reading import Loaded, contents, free_bytes, load, voxel_hash
from lungseg_monai.segment.result import Flag, Segmentation
from lungseg_monai.segment.uncertainty_files import write_volume

FOREIGN = "the folder {} is there already and was not made by lungseg segment: move it, or choose another --out"
OTHER_INPUT = "the folder {} holds the result of another input: choose another --out, or --overwrite"
MOST_AHEAD = 0.25  # of the free memory, for a case that is read ahead
LEAST_TO_BEGIN = 2**30  # of free memory: the network takes a third of that, and what is finished beside it as much
MOST_TO_BEGIN = 2**29  # bytes of a case's voxels: beside a larger one nothing else is done
NO_ROOM = (
    "bad_alloc",
    "out of memory",
    "failed to allocate",
    "(memoryerror)",
    "can't allocate memory",
    "cannot allocate memory",
    "can't start new thread",
)


@dataclass(frozen=True)
class Settings:
    """What a run was asked for. threads: of one process on the CPU, None for all. options: replace the bundle's own."""

    model: str = "ct_lungs"
    device: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    overwrite: bool = False

    def public(self) -> dict[str, Any]:
        """Those that the files depend on."""
        outputs = asdict(self.outputs) | {"formats": sorted(self.outputs.formats)}
        options = {name: value for name, value in self.options.items() if name != "weights"}  # their hash counts
        return {"model": self.model, **outputs, **options}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a case: `entry` for segment.json. reused: it was there already. seconds: by stage."""

    name: str
    entry: dict[str, Any]
    reused: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


class Worker:
    """The model is opened by a thread, while cases are looked for and the first is read."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self.settings, self.out = settings, out
        self._opener = ThreadPoolExecutor(1)
        self._opening = self._opener.submit(self._open)
        self._opener.shutdown(wait=False)

    @property
    def model(self) -> models.Model:
        """Waits for it. Raises ModelError where it can't be loaded, UsageError where it does not fit the settings."""
        return self._opening.result()

    def _open(self) -> models.Model:
        wanted = self.settings
        model = models.open_model(
            wanted.model, device=wanted.device, backend=wanted.backend, threads=wanted.threads, **wanted.options
        )
        if wanted.outputs.roi in ("right", "left"):
            label_of(model.names, wanted.outputs.roi)
        return model

    def prepare(self, case: Case) -> "Loaded | Outcome":
        """Read a case, unless it is there already or can't be used; may run in a thread beside `finish`."""
        try:
            earlier = self._earlier(case)
            if earlier is not None:
                return earlier
            return self.read(case)
        except Exception as error:  # noqa: BLE001  # whatever goes wrong with one case costs no other
            return self._trouble(case, error)

    def read(self, case: Case) -> Any:
        """The image of `case`, checked: a Loaded, or what a subclass has in its place."""
        loaded = load(case, self._partial(case).with_name(f"{self._partial(case).name}.unpacked"))
        try:
            return self._checked(loaded)
        except BaseException:
            loaded.close()
            raise

    def begin(self, case: Case, loaded: "Loaded | Outcome") -> "Loaded | Outcome":
        """Have the network see what `prepare` read, where the model can do that apart; in a thread beside `finish`."""
        begin = getattr(self.model, "begin", None)
        if begin is None or not isinstance(loaded, Loaded):
            return loaded
        try:
            with loaded.stages.stage("segment"):
                loaded.begun = begin(loaded.image)
            return loaded
        except Exception as error:  # noqa: BLE001
            loaded.close()
            return self._trouble(case, error)

    def finish(self, case: Case, loaded: "Loaded | Outcome") -> Outcome:
        """Segment and write what `prepare` read."""
        if isinstance(loaded, Outcome):
            return loaded
        partial = self._partial(case)
        try:
            with writing(partial):
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
            return self.segmented(case, loaded, partial)
        except Exception as error:  # noqa: BLE001
            return self._trouble(case, error)
        finally:
            loaded.close()
            shutil.rmtree(partial, ignore_errors=True)

    def _earlier(self, case: Case) -> Outcome | None:
        """What lies in the case's folder: the finished case, or what must not be replaced; None if it is to be made."""
        folder = self.out / case.name
        if is_foreign(folder):
            return _stopped(case, "refused", FOREIGN.format(case.name))
        record = None if self.settings.overwrite else read_case(folder)
        if record is None:
            return None
        held = contents(case)
        if record["fingerprint"] == fingerprint(held, self.settings.public(), self.model.facts):
            return Outcome(case.name, entry_of(record, case.where), reused=True)
        if case.place != record["place"] and held != record["contents"]:
            return _stopped(case, "refused", OTHER_INPUT.format(case.name))
        return None

    def _checked(self, loaded: Loaded) -> Loaded:
        """With HU made right where that is possible, so that measures and preview are of the same values."""
        image = replace(loaded.image, modality="CT")
        if self.model.modality == "CT":
            from lungseg_monai.segment.checks import check_image

            with loaded.stages.stage("check"):
                image, flags = check_image(image)
            loaded.flags += flags
        loaded.image = image
        return loaded

    def segmented(self, case: Case, loaded: Any, partial: Path) -> Outcome:
        """Segment and write what `read` gave into `partial`, and put it in place."""
        wanted = self.settings.outputs
        with ThreadPoolExecutor(2) as beside:
            hashing = beside.submit(voxel_hash, loaded.image)
            previews = [beside.submit(_preview_image, partial, loaded)] if wanted.preview else []
            with loaded.stages.stage("segment"):
                whole = self._whole(loaded)
            chosen = choose_roi(whole, wanted.roi, self.model.stem)
            measuring = beside.submit(_measured, loaded, all_masks(self.model.stem, chosen))
            if wanted.preview:
                previews.append(beside.submit(self._preview_labels, partial, loaded, chosen))
            files = write_all(partial, self.model.stem, loaded, chosen, wanted)
            files.written |= write_volume(partial, loaded.image, chosen, wanted.preview)
            measures, input_hash = measuring.result(), hashing.result()
            for preview in previews:
                preview.result()
        record = self.record(case, loaded, chosen, files) | measures
        record["hashes"] = {"input": input_hash, "weights": weights_of(self.model.facts), "outputs": {}}
        record["seconds"] = round(time.perf_counter() - loaded.began, 3)
        record = put_in_place(partial, self.out / case.name, record)
        return Outcome(case.name, entry_of(record, case.where), seconds=record["timings_s"])

    def _whole(self, loaded: Loaded) -> Segmentation:
        """All that the model finds, from where `begin` left off."""
        wanted, begun = self.settings.outputs.probabilities, loaded.begun
        if begun is None:
            return self.model.segment(loaded.image, probabilities=wanted)
        loaded.begun = None
        complete: Any = self.model
        found: Segmentation = complete.complete(begun, probabilities=wanted)
        return found

    def _preview_labels(self, partial: Path, loaded: Loaded, chosen: Segmentation) -> None:
        from lungseg_monai.segment.preview import write_preview_labels

        with loaded.stages.stage("preview"):
            masks = {stem: one.labels_ijk for stem, one in all_masks(self.model.stem, chosen).items()}
            write_preview_labels(partial / "preview", loaded.image, masks)

    def record(self, case: Case, loaded: Any, found: Segmentation, files: Files) -> dict[str, Any]:
        """case.json but for measures and hashes (docs/reference/segment-files.md)."""
        held = contents(case)
        flags = [asdict(flag) for flag in _once((*loaded.flags, *found.flags))]
        confidence = {key: round(float(value), 4) for key, value in found.confidence.items()}
        stages = loaded.stages.seconds | {f"segment: {key}": value for key, value in found.timings_s.items()}
        return {
            "schema": "1.0",
            "case": case.name,
            "status": "done",
            "image": loaded.facts,
            "outputs": files.written,
            "outputs_refused": files.refused,
            "notes": files.notes,
            "labels": _labels(found),
            "masks": {stem: _labels(one) for stem, one in all_masks(self.model.stem, found).items()},
            "confidence": confidence,
            **({"uncertainty": dict(found.uncertainty)} if found.uncertainty else {}),
            "flags": flags,
            "look": look_of(flags, [*confidence.values(), *dice_between(found.uncertainty)]),
            "facts": dict(found.facts),
            "timings_s": {key: round(value, 4) for key, value in stages.items()},
            "model": dict(self.model.facts),
            "settings": self.settings.public(),
            "versions": tool_versions(),
            "place": case.place,
            "contents": held,
            "fingerprint": fingerprint(held, self.settings.public(), self.model.facts),
        }

    def _trouble(self, case: Case, error: Exception) -> Outcome:
        secrets, files = case.context.secrets, case.plan.files
        if isinstance(error, MemoryError) or any(text in str(error).lower() for text in NO_ROOM):
            return _stopped(case, "failed", TOO_LITTLE)
        if isinstance(error, OutputError):
            return _stopped(case, "failed", str(error).replace(f"{PARTIAL}{case.name}", case.name))
        if isinstance(error, PrepError | ImageError):
            return _stopped(case, "refused", secrets.hide_files(str(error), files))
        if isinstance(error, LungsegError):
            return _stopped(case, "failed", secrets.hide_files(str(error), files))
        return _stopped(case, "failed", secrets.hide(f"unexpected {type(error).__name__}: {error}"))

    def _partial(self, case: Case) -> Path:
        return self.out / f"{PARTIAL}{case.name}"


def prefetching(worker: Worker, cases: Sequence[Case]) -> Iterator[Outcome | dict[str, Any]]:
    """First the model's facts, then outcomes in order.

    While one case is segmented the next is read and, if the model can do that apart, seen by its network, where memory
    has room for it. Raises as Worker.model does, before anything is segmented.
    """
    over = Event()
    with ThreadPoolExecutor(1) as pool:
        upcoming: Future[Loaded | Outcome] | None = pool.submit(worker.prepare, cases[0])
        try:
            yield dict(worker.model.facts)  # waits for it, while the first case is read
            for case, following in zip_longest(cases, cases[1:]):
                ready = worker.prepare(case) if upcoming is None else upcoming.result()
                fits = following is not None and _has_room(following)
                upcoming = pool.submit(_ahead, worker, following, over) if fits else None
                yield worker.finish(case, ready)
                del ready
        finally:
            over.set()
            left = None if upcoming is None else upcoming.result()  # broken off
            if isinstance(left, Loaded):
                left.close()


def _ahead(worker: Worker, case: Case, over: Event) -> "Loaded | Outcome":
    """What can be done of `case` while another is finished."""
    ready = worker.prepare(case)
    free = free_bytes()
    if over.is_set() or (free is not None and free < LEAST_TO_BEGIN) or case.nbytes > MOST_TO_BEGIN:
        return ready
    return worker.begin(case, ready)


def _has_room(case: Case) -> bool:
    free = free_bytes()
    return free is None or case.nbytes <= MOST_AHEAD * free


def entry_of(record: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """A finished case as segment.json has it. where: its slices or its file, relative to this run's inputs."""
    return {
        "status": "done",
        "where": where,
        "folder": record["case"],
        "flags": record["flags"],
        **({"look": record["look"]} if "look" in record else {}),
        "error": None,
        "seconds": record["seconds"],
        **{kind: record[kind] for kind in ("volumes_ml", "areas") if kind in record},
        "outputs_refused": record["outputs_refused"],
    }


def _stopped(case: Case, status: str, why: str) -> Outcome:
    entry: dict[str, Any] = {
        "status": status,
        "where": case.where,
        "folder": None,
        "flags": [],
        "error": why,
        "seconds": None,
    }
    return Outcome(case.name, {**entry, "volumes_ml": {}, "outputs_refused": {}})


def open_worker(settings: Settings, out: Path) -> Worker:
    """The worker for the images that the model takes."""
    if models.modality_of(settings.model) != "CR":
        return Worker(settings, out)
    from lungseg_monai.segment.radiographs.worker import RadiographWorker

    return RadiographWorker(settings, out)


def stopped(case: Case, why: str) -> Outcome:
    """A case whose process came to an end."""
    return _stopped(case, "failed", why)


def _preview_image(partial: Path, loaded: Loaded) -> None:
    from lungseg_monai.segment.preview import write_preview_image

    with loaded.stages.stage("preview"):
        write_preview_image(partial / "preview", loaded.image)


def _once(flags: tuple[Flag, ...]) -> list[Flag]:
    return list(dict.fromkeys(flags))


def weights_of(facts: Mapping[str, Any]) -> Any:
    """The hash of the weights that a model ran with."""
    return next((facts[key] for key in ("weights_sha256", "weights", "sha256") if key in facts), None)


def _labels(found: Segmentation) -> dict[str, str]:
    return {str(label): name for label, name in found.names.items()}


def _measured(loaded: Loaded, found: Mapping[str, Segmentation]) -> dict[str, Any]:
    """Measures of each, within its labels' slices, axes turned so that memory is read in the order in which it lies."""
    from lungseg_monai.segment.measures import measure

    measures: dict[str, Any] = {}
    with loaded.stages.stage("measures"):
        hu = loaded.image.array_ijk.transpose(2, 1, 0)
        for one in found.values():
            labels = one.labels_ijk.transpose(2, 1, 0)
            used = [k for k, plane in enumerate(labels) if plane.any()]
            part = slice(used[0], used[-1] + 1) if used else slice(0, 1)
            for kind, values in measure(labels[part], hu[part], loaded.image.affine_ras, one.names).items():
                measures.setdefault(kind, {}).update(values)
    return measures
