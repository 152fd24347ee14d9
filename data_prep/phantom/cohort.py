"""Many made patients into one folder: OUT/<PatientID>/{ct,rtstruct}/."""

import os
import tempfile
from pathlib import Path

from data_prep.errors import OutputError, UsageError
from data_prep.phantom.options import DEFAULTS, PhantomOptions
from data_prep.phantom.patient import Patient, make_patient
from data_prep.progress import Progress, silent

RTSTRUCT = Path("rtstruct") / "1-1.dcm"


def write_cohort(
    out: Path, *, patients: int, seed: int, options: PhantomOptions = DEFAULTS, progress: Progress = silent
) -> list[Path]:
    """Write patients 1 to `patients` of `seed`; return their folders. Same arguments, same bytes.

    A patient's folder appears when it is complete. One that is there already is kept if it holds this very patient,
    so an interrupted run goes on where it stopped. Raises UsageError where a folder holds anything else or the
    arguments make no sense, OutputError where `out` can't be written.
    """
    if patients < 1:
        raise UsageError(f"a phantom cohort needs at least 1 patient, got {patients}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, but the phantom needs a folder; choose another OUT")
    folders = []
    for number in progress(range(1, patients + 1), "phantom"):
        patient = make_patient(seed, number, options)
        folder = out / patient.patient_id
        if not _holds(folder, patient):
            try:
                _write(patient, folder)
            except OSError as error:
                raise OutputError(f"can't write {folder}: {_why(error)}. Choose another OUT, or make room.") from error
        folders.append(folder)
    return folders


def _holds(folder: Path, patient: Patient) -> bool:
    """Whether `folder` holds this very patient. Raises UsageError where it holds anything else."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    from data_prep.phantom.dicom_rtstruct import rtstruct_uid

    if not folder.exists():
        return False
    try:
        found = str(dcmread(folder / RTSTRUCT, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except (OSError, InvalidDicomError, AttributeError):
        found = ""
    if found != rtstruct_uid(patient):
        raise UsageError(
            f"{folder} exists and holds something else than {patient.patient_id} of seed {patient.seed} with these "
            "options; choose another OUT, or remove that folder"
        )
    return True


def _why(error: OSError) -> str:
    """What the system said. pydicom puts an error of its own in front, a traceback without an errno."""
    said: BaseException | None = error
    while isinstance(said, OSError):
        if said.errno is not None:
            return os.strerror(said.errno)
        said = said.__cause__
    return "the system does not say why"


def _write(patient: Patient, folder: Path) -> None:
    from data_prep.phantom.dicom_ct import write_ct
    from data_prep.phantom.dicom_rtstruct import write_rtstruct

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent, ignore_cleanup_errors=True) as name:
        made = Path(name) / folder.name
        write_ct(patient, made / "ct")
        write_rtstruct(patient, made / RTSTRUCT)
        made.rename(folder)
