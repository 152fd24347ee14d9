"""What Gao, "Unet-based Model for Lung Segment", says, and what to train to see it again: its training, its loss's
alpha, and the improvements that its section 3.3 asks for, each an overlay of the bundle's configs."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import ConfigError, UsageError
from lungseg_monai.reproduce.lungs import Lungs
from lungseg_monai.reproduce.lungs.scoring import Threshold
from lungseg_monai.reproduce.plan import Model, Plan, Row, Table

BUNDLE = "ct_lung_unet2d"
SETTINGS = ("paper", "recommended")
TABLES = ("training", "alpha", "improvements")
THRESHOLD = Threshold(0.5)  # section 2.5
BASELINE, LONGER = "baseline", "longer"
PAPERS_ALPHA = 0.5
ALPHAS = (0.0, 0.25, 0.75, 1.0)
OTHER_SEEDS = 2
# Of bundles/ct_lung_unet2d/configs/overlays, in the order of the paper's words.
OVERLAYS = {
    "l1": "L1 regularisation",
    "l2": "L2 regularisation",
    "dropout": "dropout",
    "rotation": "rotation",
    "flip": "flipping",
    "scale": "scaling",
    "noise": "noise",
    "augmentation": "rotation, flipping, scaling and noise",
}
NO_FIGURES = (
    "The paper prints curves and pictures, but not one score: what it says in words stands in the last table. "
    "One training a row: differences as small as between the seeds of the first table mean nothing."
)
ALPHA_SAID = (
    "α weighs binary cross-entropy, 1 - α the soft Dice loss. The paper takes 0.5, “without any prior knowledge”, and "
    "says that others may suit; the others here are our choice."
)
ASKED_FOR = (
    "What section 3.3 asks for in words, without a number; the numbers are ours, each in its file in configs/overlays. "
    "Its other wishes, more data, the lungs' region and other networks, are other bundles and commands."
)


def gao(setting: str, numbers: Mapping[str, Any], given: Collection[str] = ()) -> Plan:
    """The plan whose baseline is `setting`. numbers: of the bundle, with those that were `given` in its place.

    Raises UsageError for an unknown setting, ConfigError for an overlay that sets what the bundle does not have.
    """
    if setting not in SETTINGS:
        raise UsageError(f"there is no setting {setting!r}; there are: {', '.join(SETTINGS)}")
    return Plan(
        name="gao",
        title="Gao: Unet-based Model for Lung Segment",
        kind=Lungs(BASELINE, LONGER),
        bundle=BUNDLE,
        rules=THRESHOLD,
        tables=(_training(setting, numbers, given), _alphas(numbers), _improvements(numbers)),
    )


def overlay(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that an overlay sets. known: those of the bundle. Raises ConfigError for one that is not there."""
    from lungseg_monai.bundle_command import read_configs

    content = read_configs([str(overlay_path(name))])
    found = {key: value for key, value in content.items() if key != "_meta_"}
    for key in found:
        if key not in known:
            raise ConfigError(f"{overlay_path(name).name} sets {key}, which {BUNDLE} does not have")
    return found


def overlay_path(name: str) -> Path:
    return bundle_path(BUNDLE) / "configs" / "overlays" / f"{name}.yaml"


def _training(setting: str, numbers: Mapping[str, Any], given: Collection[str]) -> Table:
    epochs, seed = int(numbers["epochs"]), int(numbers["seed"])
    rows = [
        _row(f"Baseline: setting {setting}, {epochs} epochs", BASELINE, {}),
        _row(f"{2 * epochs} epochs", LONGER, {"epochs": 2 * epochs}),
        *(
            _row(f"Baseline, seed {seed + n}", f"seed_{seed + n}", {"seed": seed + n})
            for n in range(1, OTHER_SEEDS + 1)
        ),
        _other_setting(setting, given),
    ]
    return Table("training", "Training", tuple(rows), (NO_FIGURES,))


def _other_setting(setting: str, given: Collection[str]) -> Row:
    """The bundle's other setting, but for the numbers that were given."""
    from lungseg_monai.reproduce.run import numbers_of

    (other,) = (name for name in SETTINGS if name != setting)
    ours, theirs = numbers_of(BUNDLE, setting), numbers_of(BUNDLE, other)
    changed = {name: value for name, value in theirs.items() if name not in given and ours.get(name) != value}
    return _row(f"Setting {other}", other, changed)


def _alphas(numbers: Mapping[str, Any]) -> Table:
    own = float(numbers["alpha"])
    alphas = sorted({*ALPHAS, PAPERS_ALPHA, own})
    rows = [
        _row(f"α = {alpha:g}{_of_paper(alpha)}", BASELINE, {})
        if alpha == own
        else _row(f"α = {alpha:g}{_of_paper(alpha)}", f"alpha_{alpha:g}", {"alpha": alpha})
        for alpha in alphas
    ]
    return Table("alpha", "The loss's alpha", tuple(rows), (ALPHA_SAID,))


def _of_paper(alpha: float) -> str:
    return ", the paper's" if alpha == PAPERS_ALPHA else ""


def _improvements(numbers: Mapping[str, Any]) -> Table:
    rows = [_row("Baseline", BASELINE, {})]
    rows += [_row(f"+ {title}", name, overlay(name, numbers)) for name, title in OVERLAYS.items()]
    return Table("improvements", "What the paper asks for", tuple(rows), (ASKED_FOR,))


def _row(title: str, name: str, numbers: Mapping[str, Any]) -> Row:
    return Row(title, Model(name, numbers), THRESHOLD)
