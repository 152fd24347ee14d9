"""What `nifti2rtstruct` and `nifti2seg` are asked alike."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import UsageError
from data_prep.terminal import tell

if TYPE_CHECKING:
    from data_prep.export import ExportReport


def add_export_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """Arguments and options of both; `name`: of the file in OUT where that is a folder."""
    command.add_argument(
        "masks",
        type=Path,
        nargs="+",
        metavar="MASKS",
        help="NIfTI masks, or folders of them; one of several labels becomes several regions",
    )
    command.add_argument("series_folder", type=Path, metavar="DICOM_SERIES", help="the CT series that they belong to")
    command.add_argument("out", type=Path, metavar="OUT", help=f"a file ending in .dcm, or a folder for {name}")
    command.add_argument("--labels", metavar="1=NAME,2=NAME", help="names of the values in a mask of several labels")
    command.add_argument("--series", metavar="UID", help="SeriesInstanceUID or SeriesNumber, where there are several")
    command.add_argument(
        "--resample",
        choices=("refuse", "nearest"),
        default="refuse",
        help="a mask on another grid than the series': refuse it (default), or take the nearest voxel, with loss",
    )
    command.add_argument(
        "--names",
        choices=("auto", "tg263", "as-found"),
        default="auto",
        help="TG-263 names for masks called by our labels (auto, the default), for all known spellings, or for none",
    )
    command.add_argument("--short-names", action="store_true", help="cut names at 16 characters")
    command.add_argument(
        "--algorithm",
        choices=("automatic", "semiautomatic", "manual"),
        default="automatic",
        help="how the masks were made (default automatic)",
    )
    command.add_argument("--description", metavar="TEXT", help="SeriesDescription")
    command.add_argument(
        "--timestamp",
        metavar="TIME",
        help="of the file, as 2026-01-31T12:00:00; the same input and time give the same bytes "
        "(default: SOURCE_DATE_EPOCH where it is set, else now)",
    )


def shared_options(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[int, str] | None]:
    """What ExportOptions takes, and the names of labels. Raises UsageError."""
    from data_prep.export import parse_labels

    options: dict[str, Any] = {
        "resample": arguments.resample,
        "names": arguments.names,
        "short_names": arguments.short_names,
        "algorithm": arguments.algorithm.upper(),
        "timestamp": _timestamp(arguments.timestamp),
    }
    if arguments.description is not None:
        options["description"] = arguments.description
    return options, None if arguments.labels is None else parse_labels(arguments.labels)


def out_file(out: Path, name: str) -> Path:
    """`out` where it ends as a DICOM file does, else the file `name` in it."""
    return out if out.suffix.lower() == ".dcm" and not out.is_dir() else out / name


def told(arguments: argparse.Namespace, report: "ExportReport") -> int:
    """Print the report; the exit code."""
    printed = tell(arguments, report.table(), report.as_dict())
    return report.exit_code or printed


def _timestamp(text: str | None) -> datetime | None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        if text is not None:
            return datetime.fromisoformat(text)
        return datetime.fromtimestamp(int(epoch), UTC) if epoch else None
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text or epoch!r} is no time; wanted e.g. 2026-01-31T12:00:00") from error
