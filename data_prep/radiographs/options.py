"""What users may ask of a preparation of X-rays."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_prep.errors import UsageError


@dataclass(frozen=True)
class RadiographOptions:
    """pairs: a CSV file that says which mask belongs to which image. convention: what the masks leave out, if known.

    patient_pattern: a regular expression whose first group, searched in a picture's name without ending, is its
    patient. keep_ids: name cases by file and PatientID. salt: None takes the user's own. jobs: cases at a time, each
    in a process of its own; 0 does all in this process. time_limit_s: what one case may take, with jobs > 0.
    Raises UsageError for a pattern that is no regular expression with a group.
    """

    pairs: Path | None = None
    convention: Literal["visible", "anatomical"] | None = None
    patient_pattern: str | None = None
    keep_ids: bool = False
    salt: bytes | None = None
    overwrite: bool = False
    jobs: int = 0
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        if self.patient_pattern is None:
            return
        try:
            groups = re.compile(self.patient_pattern).groups
        except re.error as error:
            raise UsageError(f"--patient-pattern {self.patient_pattern!r} is no regular expression: {error}") from error
        if groups < 1:
            raise UsageError(f"--patient-pattern {self.patient_pattern!r} wants a group in brackets: the patient")


DEFAULTS = RadiographOptions()
