"""Saved masks of radiographs against those of readers, case by case: what scores.py is for volumes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data_prep.progress import Progress, silent
from lungseg_monai.errors import EvaluationError, UsageError
from lungseg_monai.evaluation.masks import path_of
from lungseg_monai.evaluation.matching import UNNAMED, Labels, Matching, Pair, Refusal
from lungseg_monai.evaluation.metrics import Empty
from lungseg_monai.evaluation.picture_masks import (
    PictureMask,
    blank_like,
    check_same_size,
    read_picture_mask,
    read_picture_union,
    read_probability,
)
from lungseg_monai.evaluation.pictures import PICTURE_METRICS, picture_scores, summarise_pictures
from lungseg_monai.evaluation.predictions import Predictions
from lungseg_monai.evaluation.reference import About, Reference
from lungseg_monai.evaluation.summary import groups, select

KIND = "pictures"
CONVENTIONS = ("visible", "anatomical")
CONVENTION_KEYS = ("convention", "reference_convention")
WHOLE = ("lungs", UNNAMED)  # the labels that a map of probabilities is about


@dataclass(frozen=True)
class Conventions:
    """What was said on the command line of both sides' masks; None: what their files say."""

    predictions: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        for option, value in (("--convention", self.predictions), ("--reference-convention", self.reference)):
            if value is not None and value not in CONVENTIONS:
                raise UsageError(f"{option} {value}: choose one of {', '.join(CONVENTIONS)}")


@dataclass
class Work:
    """What each pair is scored with, and what was taken for granted on the way."""

    found: Predictions
    truth: Reference
    empty: Empty
    said: Conventions
    repairs: list[dict[str, str]] = field(default_factory=list)


def evaluate_pictures(
    work: Work, matching: Matching, labels: Labels, progress: Progress = silent
) -> dict[str, Any] | None:
    """scores.json's content (docs/reference/files.md); None where no pair could be scored.

    A pair that can't be goes to `matching.refused`. Raises UsageError where --convention contradicts a file.
    """
    rows: list[dict[str, Any]] = []
    for pair in progress(matching.pairs, "scoring"):
        try:
            rows.append(score_picture(pair, work))
        except (EvaluationError, MemoryError) as error:
            reason = str(error) or "there is not enough memory for it"
            matching.refused.append(Refusal(pair.case_id, pair.section, pair.label, reason))
    if not rows:
        return None
    conventions = {key: dict(Counter(row[key] or "unknown" for row in rows)) for key in CONVENTION_KEYS}
    warnings = [work.found.warning, convention_warning(rows)]
    return {
        "schema_version": "1.0",
        "kind": KIND,
        "empty": work.empty,
        "warning": " ".join(warning for warning in warnings if warning) or None,
        "conventions": {"predictions": conventions["convention"], "reference": conventions["reference_convention"]},
        "labels": {label: list(parts) for label, parts in labels.items()},
        "metrics": list(PICTURE_METRICS),
        "summary": summary_rows(rows),
        "cases": rows,
        "slices": [],
        "repairs": work.repairs,
        "refused": [asdict(refusal) for refusal in matching.refused],
    }


def score_picture(pair: Pair, work: Work) -> dict[str, Any]:
    """One case's row. Raises EvaluationError: see picture_masks; UsageError where --convention contradicts a file."""
    predicted = read_picture_mask(pair.prediction)
    reference = blank_like(pair.blank_on) if pair.blank_on else read_picture_union(pair.references)
    check_same_size(predicted, reference)
    about = work.truth.about(pair.case_id)
    case = next(one for one in work.found.cases if (one.case_id, one.section) == (pair.case_id, pair.section))
    probability = read_probability(case.probability) if case.probability and pair.label in WHOLE else None
    scores = picture_scores(predicted.mask, reference.mask, probability, about.spacing_mm, work.empty)
    for side, mask in (("prediction", predicted), ("reference", reference)):
        work.repairs += _repairs(pair, side, mask)
    return {
        "case_id": pair.case_id,
        "section": pair.section,
        "label": pair.label,
        "convention": _agreed(case.convention, work.said.predictions, "--convention", pair.case_id),
        "reference_convention": _reference_convention(about, pair, work.said),
        "group": about.group,
        **scores,
    }


def summary_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each label, section and metric, as summary.py's of cases, with the worst 5 % and intervals besides."""
    found = []
    for label, section in groups(rows):
        key = {"label": label, "section": section, "level": "case", "slices": "all"}
        numbers = summarise_pictures(select(rows, label, section))
        found += [key | {"metric": metric} | of for metric, of in numbers.items()]
    return found


def convention_warning(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A sentence where the conventions of both sides differ, or nobody said one of them."""
    told = []
    pairs = Counter((row["convention"], row["reference_convention"]) for row in rows)
    for (own, other), count in pairs.items():
        if own and other and own != other:
            told.append(
                f"Predictions are {own}, the reference {other} ({count} of {len(rows)} scores): these scores also "
                "measure that difference, which no segmentation can make good."
            )
    unknown = [name for at, name in enumerate(("the predictions", "the reference")) if any(not k[at] for k in pairs)]
    if unknown:
        options = " and ".join("--convention" if name.endswith("predictions") else "--reference-convention"
                               for name in unknown)  # fmt: skip
        follow = "follows" if unknown == ["the reference"] else "follow"
        whose = " and ".join(unknown)
        told.append(f"Nobody said which convention {whose} {follow}, visible or anatomical: say it with {options}.")
    return " ".join(told) or None


def _agreed(known: str | None, said: str | None, option: str, case_id: str) -> str | None:
    if known and said and known != said:
        raise UsageError(f"{option} {said}: the files say that the mask of {case_id} is {known}; leave the option out")
    return known or said


def _reference_convention(about: About, pair: Pair, said: Conventions) -> str | None:
    return _agreed(about.convention, said.reference, "--reference-convention", pair.case_id)


def _repairs(pair: Pair, side: str, mask: PictureMask) -> list[dict[str, str]]:
    file = path_of(pair.prediction).name if side == "prediction" else mask.path.name
    return [{"case_id": pair.case_id, "side": side, "file": file, "what": what} for what in mask.repairs]
