"""`lungseg segment`: left and right lungs of chest CT and chest X-rays, or lung tumours."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.commands.places import add_cache, out_of, place, source_of
from data_prep.terminal import PARTLY, add_command, complain, progress, tell
from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.shares import processes_for

if TYPE_CHECKING:
    from lungseg_monai.segment.cases import InputOptions
    from lungseg_monai.segment.worker import Settings

LEAST_MEMORY_GB = 0.5
# Read once, when NumPy and the networks' libraries are loaded. They wait for each other in a busy loop where a machine
# has fewer cores than they have threads together.
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add(commands: Any) -> None:
    command = add_command(commands, "segment", "find the lungs in chest CT or X-rays, or lung tumours in CT", run)
    command.add_argument(
        "inputs",
        type=place,
        nargs="+",
        metavar="INPUT",
        help="a DICOM folder with anything in it, a zip archive, files (DICOM, NIfTI, NRRD, MHA; X-rays: PNG, JPEG, "
        "TIFF, BMP, DICOM), a glob, a prepared folder, a cohort, or a URL of these; names don't matter",
    )
    command.add_argument(
        "--out",
        type=_folder,
        required=True,
        metavar="OUT",
        help="where <case>/lungs.nii.gz, lungs.png (X-rays) or tumor.nii.gz goes; a folder or a URL",
    )
    _add_outputs(command.add_argument_group("results"))
    _add_model(command.add_argument_group("model"))
    _add_radiographs(command.add_argument_group("X-rays (--model cxr_lung_unet)"))
    _add_tumors(command.add_argument_group("tumours (--model ct_tumor_recurrent_denseunet)"))
    _add_work(command.add_argument_group("many cases"))
    _add_choice(command.add_argument_group("which series, and what cases are called"))
    add_cache(command)
    command.add_argument("--verbose", action="store_true", help="say all flags, and what was passed over")
    command.add_argument("--timings", action="store_true", help="say on stderr how long each stage took")


def _add_outputs(group: Any) -> None:
    group.add_argument(
        "--format",
        metavar="A,B",
        help="of nifti, rtstruct, seg, nrrd, with commas between (default nifti); rtstruct and seg need DICOM; X-rays: "
        "png alone",
    )
    group.add_argument(
        "--roi",
        choices=("both", "right", "left", "union"),
        default="both",
        help="both lungs as labels 1 (right) and 2 (left), the default; or one of them, or their union, as 1",
    )
    group.add_argument(
        "--vessels", choices=("in", "out"), help="whether vessels inside the lungs count as lung (default in)"
    )
    group.add_argument(
        "--mirror", action="store_true", help="ask the network twice, once mirrored: slower, a little better"
    )
    group.add_argument(
        "--save-probabilities", action="store_true", help="write probability.nii.gz, in percent (X-rays: .png)"
    )
    group.add_argument(
        "--uncertainty",
        action="store_true",
        help="ask the network five times more, with small changes: uncertainty.nii.gz, in percent (X-rays: .png), and "
        "flags of what is uncertain or ragged",
    )
    group.add_argument("--no-preview", action="store_true", help="don't write the images that a report shows")
    group.add_argument("--report", action="store_true", help="write OUT/report.html to look at all cases")
    group.add_argument("--overwrite", action="store_true", help="segment cases again that are there already")


def _add_model(group: Any) -> None:
    group.add_argument("--model", default="ct_lungs", metavar="NAME", help="the bundle (default ct_lungs)")
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default auto")
    group.add_argument(
        "--backend", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto", help="default auto"
    )
    group.add_argument("--threads", type=int, metavar="N", help="on the CPU, of one process (default: all cores)")


def _add_radiographs(group: Any) -> None:
    group.add_argument(
        "--convention",
        choices=("visible", "anatomical"),
        help="lungs as they are seen, without what the heart hides, or with it (default: as the model was trained)",
    )


def _add_tumors(group: Any) -> None:
    group.add_argument(
        "--within", choices=("lungs",), help="find the lungs first, look in and around them alone, and write both"
    )
    group.add_argument(
        "--weights", type=_weights, metavar="RUN", help="weights of your own: a run's folder, a checkpoint"
    )
    group.add_argument(
        "--allow-phantom-weights", action="store_true", help="use weights that have seen phantoms alone on other images"
    )
    group.add_argument(
        "--stride", type=int, metavar="N", help="slices from window to window: 1 as in the paper (default) to 8, faster"
    )
    group.add_argument("--precision", choices=("float32", "bf16"), help="bf16 (default) where the processor has it")
    group.add_argument(
        "--rules",
        choices=("tuned", "recommended", "paper", "authors_code"),
        help="from probabilities to a mask: by lungseg tune where it was run (default), or as named; X-rays: "
        "recommended (default) or paper",
    )
    group.add_argument(
        "--threshold", type=float, metavar="P", help="tumour is what is likelier than this (default 0.7)"
    )
    group.add_argument("--kernel", choices=("disk", "square", "none"), help="of the dilation in plane (default disk)")
    group.add_argument("--kernel-mm", type=float, metavar="MM", help="its radius (default: 3 pixels of the network)")
    group.add_argument(
        "--within-mm", type=float, metavar="MM", help="of the lungs, with --within: farther tumours go (default 15)"
    )
    group.add_argument("--least-mm3", type=float, metavar="MM3", help="smaller pieces go (default: none)")


def _add_work(group: Any) -> None:
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes, each with its share of the cores (default: of CT lungs, from three cases on, one less than "
        "there are cores, 4 at most, if memory has 2 GB for each; else 1)",
    )
    group.add_argument(
        "--memory-gb", "--max-ram", type=float, metavar="GB", help="memory that one process may take (Linux)"
    )


def _add_choice(group: Any) -> None:
    group.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="RULE",
        help="series that fit, such as description~chest,thickness<=3; given twice, either rule will do",
    )
    group.add_argument("--keep-ids", action="store_true", help="name cases by PatientID even if it was not removed")
    group.add_argument("--salt-file", type=Path, metavar="FILE", help="secret behind pseudonyms (default: your own)")
    group.add_argument(
        "--gaps",
        choices=("refuse", "resample", "keep-uniform-part"),
        default="refuse",
        help="missing or uneven slices: refuse the series (default), resample it, or keep the longest even part",
    )
    group.add_argument(
        "--tilt",
        choices=("refuse", "shear", "resample"),
        default="refuse",
        help="tilted gantry: refuse the series (default), shear the affine, or resample",
    )


def _folder(text: str) -> Path | str:
    """An empty name, as of a shell's variable that is not set, would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("its name is empty: name the folder for the results")
    return place(text)


def _weights(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("its name is empty: name a run's folder or a checkpoint")
    return Path(text)


def _jobs(arguments: argparse.Namespace) -> int:
    if arguments.jobs is not None:
        return int(arguments.jobs)
    if arguments.memory_gb is not None or arguments.threads is not None:
        return 1
    return processes_for(arguments.inputs, arguments.model, arguments.device)


def _limit_threads(jobs: int, threads: int | None) -> None:
    """Give each process its share of the cores. Before NumPy is imported; what the user has set stays."""
    if threads is None and jobs > 1:
        threads = max(1, cores() // jobs)
    if threads is not None and threads > 0:
        for name in THREAD_LIMITS:
            os.environ.setdefault(name, str(threads))


def run(arguments: argparse.Namespace) -> int:
    jobs = _jobs(arguments)
    _limit_threads(jobs, arguments.threads)
    settings, choice = _settings(arguments), _choice(arguments)
    from lungseg_monai.segment.heap import keep_freed_memory

    keep_freed_memory()
    from lungseg_monai.segment.run import segment

    inputs = [source_of(arguments, one) for one in arguments.inputs]
    with out_of(arguments) as out:
        result = segment(
            inputs,
            out,
            settings,
            choice=choice,
            jobs=jobs,
            memory_gb=arguments.memory_gb,
            report=arguments.report,
            progress=progress(arguments),
        )
    if arguments.timings:
        print(result.stages.table(), file=sys.stderr)  # noqa: T201
    told = tell(arguments, result.table(verbose=arguments.verbose), result.as_dict())
    if arguments.quiet:
        for line in result.problems():
            complain("lungseg", line, PARTLY)
    return result.exit_code or told


def _settings(arguments: argparse.Namespace) -> "Settings":
    from lungseg_monai.segment.outputs import OutputOptions
    from lungseg_monai.segment.worker import Settings

    for name, value in (("--threads", arguments.threads), ("--jobs", arguments.jobs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: wanted 1 or more")
    if arguments.memory_gb is not None and not arguments.memory_gb >= LEAST_MEMORY_GB:
        raise UsageError(f"--memory-gb {arguments.memory_gb:g}: no model runs in less than {LEAST_MEMORY_GB:g}")
    return Settings(
        model=arguments.model,
        device=arguments.device,
        backend=arguments.backend,
        threads=arguments.threads,
        options=_model_options(arguments),
        outputs=OutputOptions(
            _formats(arguments), arguments.roi, arguments.save_probabilities, not arguments.no_preview
        ),
        overwrite=arguments.overwrite,
    )


def _formats(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Those that were asked for; of radiographs there is only one, which OutputOptions need not know."""
    if arguments.format is None:
        return ("nifti",)
    formats = tuple(dict.fromkeys(filter(None, (one.strip() for one in arguments.format.split(",")))))
    if not _of_radiographs(arguments):
        return formats
    if formats != ("png",):
        raise UsageError(f"--format {arguments.format}: masks of X-rays are written as PNG; leave --format out")
    return ("nifti",)


def _of_radiographs(arguments: argparse.Namespace) -> bool:
    from lungseg_monai.segment.models import modality_of

    return modality_of(arguments.model) == "CR"


def _model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was asked of the model itself; a model that knows no such option refuses it by name."""
    asked = {
        "vessels": arguments.vessels,
        "mirror": arguments.mirror or None,
        "uncertainty": arguments.uncertainty or None,
        "within": arguments.within,
        "weights": arguments.weights,
        "allow_phantom_weights": arguments.allow_phantom_weights or None,
        "stride": arguments.stride,
        "precision": arguments.precision,
        "convention": arguments.convention,
        "rules" if _of_radiographs(arguments) else "rules_name": arguments.rules,
        "threshold": arguments.threshold,
        "kernel": arguments.kernel,
        "radius_mm": arguments.kernel_mm,
        "within_mm": arguments.within_mm,
        "least_mm3": arguments.least_mm3,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _choice(arguments: argparse.Namespace) -> "InputOptions":
    from data_prep.options import StackOptions
    from lungseg_monai.segment.cases import InputOptions

    return InputOptions(
        select=tuple(arguments.select),
        keep_ids=arguments.keep_ids,
        salt_file=arguments.salt_file,
        stack=StackOptions(gaps=arguments.gaps, tilt=arguments.tilt),
    )
