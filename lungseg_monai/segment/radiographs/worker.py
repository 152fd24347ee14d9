"""One process's work on radiographs: as worker.Worker, with pictures in place of volumes."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.radiographs.radiograph import pixels_sha256
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.cases import Case
from lungseg_monai.segment.journal import put_in_place
from lungseg_monai.segment.radiographs.doubts import doubts
from lungseg_monai.segment.radiographs.find import RadiographCase
from lungseg_monai.segment.radiographs.outputs import chosen_roi, measure, write_pictures
from lungseg_monai.segment.radiographs.reading import LoadedRadiograph, load_radiograph
from lungseg_monai.segment.result import Segmentation
from lungseg_monai.segment.uncertainty_files import write_picture
from lungseg_monai.segment.worker import Outcome, Worker, entry_of, weights_of


class RadiographWorker(Worker):
    """`model` is a PictureModel, cases are RadiographCases."""

    def read(self, case: Case) -> LoadedRadiograph:
        if not isinstance(case, RadiographCase):
            raise ImageError("a CT was given to a model of X-rays: take --model ct_lungs")
        return load_radiograph(case)

    def segmented(self, case: Case, loaded: Any, partial: Path) -> Outcome:
        wanted, model = self.settings.outputs, self.model
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.submit(pixels_sha256, loaded.image.pixels)
            chosen = seen_in(loaded, model, wanted.roi, wanted.probabilities)
            files = write_pictures(partial, model.stem, loaded, chosen, wanted)
            files.written |= write_picture(partial, chosen)
            with loaded.stages.stage("measures"):
                measures = measure(chosen.labels_ijk, chosen.names, loaded.image.spacing_mm)
            input_hash = hashing.result()
        record = self.record(case, loaded, chosen, files) | measures
        record["convention"] = chosen.facts["convention"]
        record["hashes"] = {"input": input_hash, "weights": weights_of(model.facts), "outputs": {}}
        record["seconds"] = round(time.perf_counter() - loaded.began, 3)
        record = put_in_place(partial, self.out / case.name, record)
        return Outcome(case.name, entry_of(record, case.where), seconds=record["timings_s"])


def seen_in(loaded: LoadedRadiograph, model: Any, roi: str, probabilities: bool) -> Segmentation:
    """What `model`, a PictureModel, finds in one radiograph, with all flags, as `roi` wants it."""
    with loaded.stages.stage("segment"):
        whole = model.segment(loaded.image.pixels, probabilities=probabilities, flipped=loaded.flipped)
    with loaded.stages.stage("doubts"):
        turned = bool(whole.facts.get("inverted"))
        seen = doubts(loaded.image.pixels, whole.labels_ijk, whole.confidence, turned)
    return chosen_roi(replace(whole, flags=(*loaded.flags, *whole.flags, *seen)), roi, model.stem)
