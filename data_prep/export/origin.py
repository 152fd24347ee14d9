"""What all DICOM objects that we make share: whose they are, when and by what they were made, and their UIDs."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_prep import __version__
from data_prep.export.reference import ReferenceSeries
from data_prep.files import quiet_pydicom

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

MANUFACTURER, MODEL = "lungseg-monai", "lungseg-prep"
# Type 2 tags of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): empty where the series has none.
WANTED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
# The rest that belongs to the patient and the study, copied where the series has it.
WELCOME = (
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PositionReferenceIndicator",
)


class Origin:
    """Derives UIDs and times of one object, and fills in what it shares with its series.

    The same series, content and moment give the same UIDs, under 2.25 (PS3.5 B.2); any other gives others.
    """

    def __init__(self, series: ReferenceSeries, content: str, timestamp: datetime | None) -> None:
        self.moment = timestamp or datetime.now(UTC).astimezone()
        self.date, self.time = self.moment.strftime("%Y%m%d"), self.moment.strftime("%H%M%S")
        self._seed = "\n".join(
            [__version__, series.slices[0].series_uid, content, self.date, self.time]
            + [f"{one.sop_uid} {one.frame}" for one in series.slices]
        )

    def uid(self, what: str) -> str:
        digest = hashlib.sha256(f"{self._seed}\n{what}".encode()).digest()
        return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"

    def sign(self, data: "Dataset") -> None:
        """Say what made it and when (General Equipment and SOP Common modules, PS3.3 C.7.5.1, C.12.1)."""
        data.Manufacturer, data.ManufacturerModelName = MANUFACTURER, MODEL
        data.SoftwareVersions = __version__[:64]
        data.InstanceCreationDate, data.InstanceCreationTime = self.date, self.time
        data.SeriesDate, data.SeriesTime = self.date, self.time


def copy_patient(data: "Dataset", series: ReferenceSeries) -> list[str]:
    """Copy patient and study from the series' header into `data`; notes on what could not be copied.

    Dates, times, numbers and codes that DICOM does not allow are left empty: receivers refuse the whole file for one.
    Names and identifiers are kept as they are, since the file has to find its patient.
    """
    from copy import deepcopy

    notes = []
    with quiet_pydicom():
        for keyword in (*WANTED, *WELCOME):
            try:
                if keyword in series.header:
                    element = series.header[keyword]
                    _refuse_invalid(keyword, element)
                    data[keyword] = deepcopy(element)
            except Exception:  # noqa: BLE001  # a value that its VR does not allow; pydicom raises whatever it leads to
                notes.append(f"{keyword} of the series is no value that DICOM allows, and is left empty")
            if keyword in WANTED and keyword not in data:
                setattr(data, keyword, None)
        data.StudyInstanceUID = series.slices[0].study_uid
        removed = str(data.get("PatientIdentityRemoved") or "").strip().upper() == "YES"
        if removed and not (data.get("DeidentificationMethod") or data.get("DeidentificationMethodCodeSequence")):
            data.DeidentificationMethod = "Not stated in the series"  # one of the two must stand there (PS3.3 C.7.1.1)
    return notes


def _refuse_invalid(keyword: str, element: "DataElement") -> None:
    """Raises ValueError."""
    from pydicom import config
    from pydicom.valuerep import validate_value

    if keyword == "PatientSex" and element.value not in ("M", "F", "O", "", None):
        raise ValueError("one of M, F, O is wanted")
    if element.VR in ("DA", "TM", "AS", "DS", "IS", "CS"):
        for value in element.value if element.VM > 1 else [element.value]:
            validate_value(element.VR, str(value) if value is not None else "", config.RAISE)


def set_character_set(data: "Dataset") -> None:
    """UTF-8 where a text needs it, else Latin-1, which every receiver knows (PS3.3 C.12.1.1.2)."""
    plain = True

    def look(_: "Dataset", element: Any) -> None:
        nonlocal plain
        if element.VR in ("PN", "LO", "SH", "ST", "LT", "UT", "UC"):
            plain = plain and str(element.value or "").isascii()

    with quiet_pydicom():
        data.walk(look)
    data.SpecificCharacterSet = "ISO_IR 100" if plain else "ISO_IR 192"
