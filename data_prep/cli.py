"""`lungseg-prep`: the parser and main(argv) -> exit code. What it does stands in the modules it calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep import __version__
from data_prep.errors import PrepError, UsageError
from data_prep.terminal import EPILOG, INTERRUPTED, NOTHING, USAGE, add_command, complain, progress, tell


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 all done; 1 done, but something was refused or failed; 2 wrong usage; 3 nothing could be done;
    130 interrupted (run the same command again to go on).
    """
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UsageError as error:
        return complain("lungseg-prep", error, USAGE)
    except PrepError as error:
        return complain("lungseg-prep", error, NOTHING)
    except KeyboardInterrupt:
        return complain("lungseg-prep", "interrupted; run the same command again to go on", INTERRUPTED)


def run_phantom(arguments: argparse.Namespace) -> int:
    from data_prep.phantom import PhantomOptions, write_cohort

    options = PhantomOptions(
        size=arguments.size,
        spacing_mm=arguments.spacing_mm,
        oblique_deg=arguments.oblique_deg,
        missing_slices=arguments.missing_slices,
    )
    folders = write_cohort(
        arguments.out, patients=arguments.patients, seed=arguments.seed, options=options, progress=progress(arguments)
    )
    return tell(arguments, "\n".join(map(str, folders)), {"folders": [str(folder) for folder in folders]})


def run_dicom2nifti(arguments: argparse.Namespace) -> int:
    from data_prep.convert import ConvertOptions, convert
    from data_prep.identity import load_or_create_salt

    options = ConvertOptions(
        keep_ids=arguments.keep_ids, salt=load_or_create_salt(arguments.salt_file), overwrite=arguments.overwrite
    )
    result = convert(arguments.source, arguments.out, options=options, progress=progress(arguments))
    told = tell(arguments, result.table(), result.dataset)
    return result.exit_code or told


def run_split(arguments: argparse.Namespace) -> int:
    from data_prep.split import SplitOptions, summary, write_split

    options = SplitOptions(
        ratio=arguments.ratio,
        validation=arguments.val,
        folds=arguments.folds,
        seed=arguments.seed,
        within_patient=arguments.within_patient,
        gap_mm=arguments.gap_mm,
    )
    datalist = write_split(arguments.dataset, options)
    return tell(arguments, summary(datalist), datalist)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lungseg-prep", description="Chest CT and RTSTRUCT from DICOM to NIfTI and dataset.json.", epilog=EPILOG
    )
    top.add_argument("--version", action="version", version=f"lungseg-prep {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = add_command(commands, "dicom2nifti", "convert CT series and their RTSTRUCT contours", run_dicom2nifti)
    command.add_argument(
        "source", type=Path, metavar="IN", help="a folder with DICOM files anywhere below it, or one file"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="where <case>/image.nii.gz, masks and dataset.json go")
    command.add_argument(
        "--keep-ids",
        action="store_true",
        help="name cases by PatientID even if the data do not say that identity was removed",
    )
    command.add_argument(
        "--salt-file",
        type=Path,
        metavar="FILE",
        help="secret behind pseudonyms and hashes (default: one in your configuration folder)",
    )
    command.add_argument("--overwrite", action="store_true", help="convert cases again that are there already")

    command = add_command(commands, "split", "decide by patient who trains and who tests", run_split)
    command.add_argument("dataset", type=Path, metavar="DATASET", help="dataset.json, or the folder that holds it")
    command.add_argument(
        "--ratio",
        type=ratio,
        default=(2.0, 1.0),
        metavar="TRAIN:TEST",
        help="patients that train to patients that test (default 2:1)",
    )
    command.add_argument(
        "--val",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the training patients that validates (default 0)",
    )
    command.add_argument("--folds", type=int, metavar="K", help="spread the training patients over K folds")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the shuffle (default 0)")
    command.add_argument(
        "--within-patient",
        action="store_true",
        help="split one patient's slices in blocks; says nothing about other patients",
    )
    command.add_argument(
        "--gap-mm", type=float, default=10.0, metavar="MM", help="left out between such blocks (default 10)"
    )

    command = add_command(
        commands, "phantom", "write made chests with known truth as DICOM CT and RTSTRUCT", run_phantom
    )
    command.add_argument("out", type=Path, metavar="OUT", help="where <patient>/ct and <patient>/rtstruct go")
    command.add_argument("--patients", type=int, default=6, metavar="N", help="how many (default 6)")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default 0)")
    command.add_argument("--size", choices=("small", "full"), default="small", help="of the images (default small)")
    command.add_argument("--spacing-mm", type=triple, metavar="X,Y,Z", help="voxel spacing instead of the size's own")
    command.add_argument(
        "--oblique-deg",
        type=triple,
        default=(0.0, 0.0, 0.0),
        metavar="X,Y,Z",
        help="turn the image planes about the patient's axes (default 0,0,0)",
    )
    command.add_argument("--missing-slices", type=int, default=0, metavar="N", help="leave out N slices (default 0)")
    return top


def triple(text: str) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in text.split(","))
    return x, y, z


def ratio(text: str) -> tuple[float, float]:
    train, test = (float(part) for part in text.split(":"))
    return train, test


if __name__ == "__main__":
    sys.exit(main())
