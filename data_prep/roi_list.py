"""All ROI names of a folder tree: how often each one occurs, and what it maps to. Unmatched ones first."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import NothingToDoError, RtstructError
from data_prep.progress import Progress, silent
from data_prep.roi_names import SHIPPED, RoiMap
from data_prep.rtstruct import StructHeader, read_roi_names
from data_prep.scan import Refusal, scan

IN_NAME = "holds a part of the patient's name"
NO_FILE = ("file", "folder")  # refusals that may hide an RTSTRUCT; a refused CT series does not


@dataclass
class NameUse:
    """One ROI name as found. label: what it maps to; matched: whether a row knows it, be it to give it no label.

    structs, patients: which RTSTRUCTs and which patients have it.
    """

    name: str
    label: str | None
    matched: bool
    structs: set[str] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    flags: list[str] = field(default_factory=list)


@dataclass
class RoiList:
    """names: unmatched ones first, each group from the most frequent on. refused: what could not be looked into."""

    names: list[NameUse]
    structs: int
    patients: int
    refused: list[Refusal]

    @property
    def exit_code(self) -> int:
        """0 all done; 1 something could not be looked into."""
        return 1 if self.refused else 0

    def data(self) -> dict[str, Any]:
        """The list for machines."""
        return {
            "rtstructs": self.structs,
            "patients": self.patients,
            "unmatched": sum(not one.matched for one in self.names),
            "names": [
                {
                    "name": one.name,
                    "label": one.label,
                    "matched": one.matched,
                    "rtstructs": len(one.structs),
                    "patients": len(one.patients),
                    "flags": one.flags,
                }
                for one in self.names
            ],
            "refused": [{"what": one.what, "where": one.where, "reason": one.reason} for one in self.refused],
        }

    def table(self) -> str:
        """The list for people."""
        rows = [("label", "RTSTRUCTs", "patients", "name")]
        for one in self.names:
            label = (one.label or "no label") if one.matched else "UNMATCHED"
            flags = f"  ({'; '.join(one.flags)})" if one.flags else ""
            rows.append((label, str(len(one.structs)), str(len(one.patients)), f"{_one_line(one.name)}{flags}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows]
        unmatched = sum(not one.matched for one in self.names)
        lines += ["", f"{len(self.names)} names in {self.structs} RTSTRUCT(s) of {self.patients} patient(s)"]
        if unmatched:
            lines.append(f"{unmatched} unmatched: give them a label with --roi-map, if they mean one")
        lines += [f"refused {one.what} {one.where}: {one.reason}" for one in self.refused]
        return "\n".join(lines)


def list_rois(
    source: Path, roi_map: RoiMap = SHIPPED, *, keep_ids: bool = False, progress: Progress = silent
) -> RoiList:
    """All ROI names of the RTSTRUCTs below `source`, a folder or one file; the same RTSTRUCT twice counts once.

    Patients are told apart by PatientID, or by study where it is empty. Raises UsageError if `source` does not exist,
    NothingToDoError if there is no RTSTRUCT that can be read.
    """
    found = scan(Path(source), keep_ids=keep_ids, progress=progress)
    refused = [one for one in found.refused if one.what in NO_FILE]
    uses: dict[str, NameUse] = {}
    structs: set[str] = set()
    patients: set[str] = set()
    for struct in found.structs:
        try:
            names = read_roi_names(struct.path)
        except RtstructError as error:
            reason = found.secrets.hide_files(str(error), [struct.path])
            refused.append(Refusal("rtstruct", found.where(struct.path), reason, struct.sop_uid))
            continue
        struct_id, patient_id = struct.sop_uid or str(struct.path), _patient(struct)
        structs.add(struct_id)
        patients.add(patient_id)
        for name in names:
            if name not in uses:
                row = roi_map.find(name)
                flags = [IN_NAME] if found.secrets.in_name(name) else []
                uses[name] = NameUse(name, row.label if row else None, row is not None, flags=flags)
            uses[name].structs.add(struct_id)
            uses[name].patients.add(patient_id)
    if not structs:
        raise NothingToDoError(f"no RTSTRUCT that can be read in {source}: {found.files} file(s) looked at")
    ordered = sorted(uses.values(), key=lambda one: (one.matched, -len(one.structs), one.name))
    hidden = [Refusal(one.what, found.secrets.hide(one.where), one.reason, one.uid) for one in refused]
    return RoiList(ordered, len(structs), len(patients), hidden)


def _patient(struct: StructHeader) -> str:
    return struct.patient_id or f"study:{struct.study_uid or struct.path}"


def _one_line(name: str) -> str:
    """`name` with characters that would break the table or drive the terminal escaped."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name) or "(empty)"
