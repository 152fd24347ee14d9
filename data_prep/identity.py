"""Who is who without saying who: salted pseudonyms, hashed UIDs, and what must never be written."""

import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.errors import OutputError, UsageError
from data_prep.roi_names import safe_name
from data_prep.slices import text

SALT_BYTES = 32
NAME_TAGS = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
# Read only to keep their values out of everything that is written.
SECRET_TAGS = (
    "PatientBirthDate",
    "OtherPatientIDs",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "AccessionNumber",
)
IDENTITY_TAGS = ("PatientID", "PatientIdentityRemoved", *NAME_TAGS, *SECRET_TAGS)
# What else lies in the output folder: no case may be called so.
OTHER_FILES = ("dataset.json", "datalist.json", "report.csv", "report.html", "qc.html", "qc.json", "nnunet_raw")
SHORTEST = 3  # letters of a name that are looked for inside words; two letters must stand alone


def load_or_create_salt(path: Path | None = None) -> bytes:
    """The secret behind pseudonyms and hashes: with the same salt, the same patient gets the same pseudonym.

    path: where it is kept; None: `lungseg/salt` in the user's configuration folder ($XDG_CONFIG_HOME or ~/.config).
    A missing file is made, readable by its owner alone. Raises UsageError for a file too short to be a secret,
    OutputError where it can't be read or written.
    """
    if path is None:
        home = os.environ.get("XDG_CONFIG_HOME")
        path = (Path(home) if home else Path.home() / ".config") / "lungseg" / "salt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            salt = path.read_bytes().strip()
        else:
            salt = secrets.token_hex(SALT_BYTES).encode()
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(salt + b"\n")
    except OSError as error:
        raise OutputError(
            f"can't read or make the salt file {path}: {error.strerror}. Name another one with --salt-file."
        ) from error
    if len(salt) < 16:
        raise UsageError(
            f"the salt file {path} holds {len(salt)} bytes; at least 16 are wanted. Delete it or repair it."
        )
    return salt


def hashed(salt: bytes, value: str, digits: int = 16) -> str | None:
    """Salted hash of a UID, hexadecimal; None for an empty one."""
    return hmac.new(salt, value.encode(), sha256).hexdigest()[:digits] if value else None


@dataclass(frozen=True)
class CaseId:
    """How a series is named.

    case_id: its folder. patient_id: what splits go by, a pseudonym unless ids are kept. patient_hash: the same for
    one patient either way. note: what had to be assumed.
    """

    case_id: str
    patient_id: str
    patient_hash: str
    note: str | None = None


@dataclass(frozen=True)
class CaseKey:
    """What a case's name is made of. key: tells the cases of one conversion apart. label: what part of a series it is.

    removed: the data say that identity was removed.
    """

    key: str
    patient_id: str
    study_uid: str
    series_uid: str
    removed: bool
    label: str = ""


def name_cases(keys: Sequence[CaseKey], salt: bytes, keep_ids: bool) -> dict[str, CaseId]:
    """Key -> how the case is named.

    PatientID where PatientIdentityRemoved (0012,0062) is YES or with keep_ids, else `case-` and a salted hash.
    A patient with several cases gets a hash of the series behind the name, and the part's label.
    """
    patients: dict[str, list[CaseKey]] = {}
    for one in sorted(keys, key=lambda key: (key.series_uid, key.label, key.key)):
        patients.setdefault(one.patient_id or f"study:{one.study_uid}", []).append(one)
    names: dict[str, CaseId] = {}
    taken = set(OTHER_FILES)
    for patient, group in sorted(patients.items()):
        kept = bool(group[0].patient_id) and (keep_ids or all(one.removed for one in group))
        patient_hash = str(hashed(salt, f"patient:{patient}"))
        wanted = patient if kept else f"case-{patient_hash[:12]}"
        patient_name = safe_name(wanted, taken, "case")
        note = None if group[0].patient_id else "PatientID (0010,0020) is empty: the study is taken for the patient"
        for one in group:
            case = patient_name
            if len(group) > 1:
                parts = (patient_name, hashed(salt, one.series_uid, 6) or "", one.label)
                case = safe_name("_".join(filter(None, parts)), taken)
            names[one.key] = CaseId(case, patient_name, patient_hash, note)
    return names


@dataclass
class Secrets:
    """Values that must not be written: collected from headers, looked for in what comes out."""

    names: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)

    def learn(self, data: Any, keep_ids: bool) -> None:
        """Take in a header's identifying values, unless it says that identity was removed."""
        if text(data, "PatientIdentityRemoved").upper() == "YES":
            return
        patient_id = text(data, "PatientID")
        for tag in NAME_TAGS:
            name = text(data, tag)
            if not (keep_ids and name == patient_id):
                self.names.update(_words(name))
        for tag in SECRET_TAGS:
            value = text(data, tag)
            self.values.update(part for part in (value, *re.split(r"[\\^]", value)) if len(part) >= SHORTEST)
        if not keep_ids:
            numbers = {word for word in _words(patient_id) if len(word) > SHORTEST and not word.isalpha()}
            self.ids |= numbers | ({patient_id} if len(patient_id) >= SHORTEST else set())

    def in_name(self, name: str | None) -> bool:
        """Whether `name` (of a ROI or a series) holds a part of a patient's name, or an id that is not kept."""
        return bool(name) and self._pattern(self.names | self.ids).search(_plain(name or "")) is not None

    def hide(self, message: str) -> str:
        """`message` (a path, an error) with all secrets replaced, in characters that can be written."""
        secret = self._pattern(self.names | self.ids | self.values)
        return secret.sub("***", unicodedata.normalize("NFC", _writable(message)))

    def hide_files(self, message: str, files: Iterable[Path]) -> str:
        """`message` with the secrets in the names of `files` replaced, and all other words left alone."""
        for name in sorted({file.name for file in files}, key=len, reverse=True):
            message = message.replace(name, self.hide(name))
        return _writable(message)

    @staticmethod
    def _pattern(words: Iterable[str]) -> re.Pattern[str]:
        ordered = sorted(words, key=lambda word: (-len(word), word))
        parts = [re.escape(w) if len(w) >= SHORTEST else rf"(?<![^\W_]){re.escape(w)}(?![^\W_])" for w in ordered]
        return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)


def _writable(message: str) -> str:
    """`message` in valid Unicode: bytes of a path that are no UTF-8 are read as Latin-1, which they mostly are.

    Read so, and not replaced, a patient's name in the path is still recognised.
    """
    latin = re.sub("[\udc80-\udcff]", lambda found: chr(ord(found[0]) - 0xDC00), message)
    return latin.encode("utf-8", "replace").decode("utf-8")


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _words(name: str) -> set[str]:
    """The parts of a person's name that are worth looking for: no single letters, no short numbers."""
    words = re.findall(r"[^\W_]+", _plain(name))
    return {word for word in words if len(word) > 1 and not (word.isdecimal() and len(word) < 4)}
