"""`lungseg tune`: the rules from probabilities to tumours, chosen on validation cases."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import PARTLY, add_command, progress, tell
from lungseg_monai.errors import UsageError

BUNDLE = "ct_tumor_recurrent_denseunet"


def add(commands: Any) -> None:
    command = add_command(commands, "tune", "choose threshold and kernel of a tumour model on validation cases", run)
    command.add_argument("model", metavar="RUN_OR_BUNDLE", help="a run's folder, a checkpoint, or a bundle's name")
    command.add_argument(
        "--data", type=Path, required=True, metavar="PREPARED", help="with dataset.json, datalist.json"
    )
    command.add_argument(
        "--section", choices=("validation", "training"), default="validation", help="default validation; never test"
    )
    command.add_argument("--fold", type=int, metavar="K", help="the fold that was validated on, if the split has folds")
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where postprocessing.json goes (default: beside a run's weights)"
    )
    command.add_argument(
        "--thresholds", type=_numbers, metavar="P,P,...", help="to try (default 0.1 to 0.9 in steps of 0.1)"
    )
    command.add_argument("--radii", type=_wholes, metavar="N,N,...", help="of the kernel, in pixels (default 0,1,2,3)")
    command.add_argument("--least-mm3", type=_numbers, metavar="V,V,...", help="of pieces (default 0,30,100,300)")
    command.add_argument("--grid", choices=("network", "image"), help="where both run (default network)")
    command.add_argument(
        "--stride", type=int, default=1, metavar="N", help="of windows; as you will segment (default 1)"
    )
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default auto")
    command.add_argument(
        "--backend", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto", help="of a bundle"
    )
    command.add_argument("--threads", type=int, metavar="N", help="on the CPU (default: all cores)")


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.tuned import write_tuned
    from lungseg_monai.tuning import LEAST_MM3, RADII, THRESHOLDS, candidates, text, tune

    model, folder = _open(arguments)
    wanted = candidates(
        model.rules, arguments.thresholds or THRESHOLDS, arguments.radii or RADII, arguments.least_mm3 or LEAST_MM3
    )
    found = tune(model, arguments.data, arguments.section, wanted, fold=arguments.fold, progress=progress(arguments))
    facts = {
        "section": arguments.section,
        "stride": arguments.stride,
        "weights_sha256": model.facts["weights_sha256"],
        **found.facts(),
    }
    path = write_tuned(folder, found.rules[found.best], facts) if folder is not None else None
    last = f"written: {path}" if path else "not written: a bundle's weights are read-only; name a folder by --out"
    answer = {"rules": found.rules[found.best].as_dict(), "file": str(path) if path else None, **facts}
    told = tell(arguments, f"{text(found)}\n{last}", answer)
    return PARTLY if found.left_out else told


def _open(arguments: argparse.Namespace) -> tuple[Any, Path | None]:
    """The model, and the folder for its rules."""
    from lungseg_monai.segment.models import open_model
    from lungseg_monai.segment.trained import checkpoint_of
    from lungseg_monai.segment.tumors import TumorModel

    options: dict[str, Any] = {"rules_name": "recommended", "stride": arguments.stride}
    if arguments.grid:
        options["grid"] = arguments.grid
    shared = {"device": arguments.device, "threads": arguments.threads}
    given = Path(arguments.model)
    if given.exists() and not (given / "configs").is_dir():
        path = checkpoint_of(given)
        model = open_model(BUNDLE, **shared, weights=path, **options)
        return model, arguments.out or path.parent
    name = given.name if given.exists() else arguments.model
    model = open_model(name, **shared, backend=arguments.backend, allow_phantom_weights=True, **options)
    if not isinstance(model, TumorModel):
        raise UsageError(f"{name} finds no tumours: nothing to tune")
    return model, arguments.out


def _numbers(given: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in given.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{given!r}: wanted numbers with commas between") from error


def _wholes(given: str) -> tuple[int, ...]:
    if not all(one.strip().isdigit() for one in given.split(",")):
        raise argparse.ArgumentTypeError(f"{given!r}: wanted whole numbers with commas between")
    return tuple(int(one) for one in given.split(","))
