"""What Kamal et al. (Recurrent 3D-DenseUNet) print in Tables 2 to 6, and what to train to print them again."""

from dataclasses import replace

from lungseg_monai.errors import UsageError
from lungseg_monai.postprocessing import RULES, TumorRules
from lungseg_monai.reproduce.plan import CohortTable, Model, Plan, Row, Table
from lungseg_monai.reproduce.tumours import Tumours

BUNDLE = "ct_tumor_recurrent_denseunet"
PROPOSED = "proposed"
SIZE = 256  # pixels a row of the network's grid, section 3.1
NO_THRESHOLD = 0.001  # our reading of "No threshold"; the authors' code has no other cut than this one and 0.7


def _model(name: str, network: str, cost: float, loss: str = "bce", alpha: float | None = None) -> Model:
    numbers: dict[str, object] = {"network_name": network, "loss_name": loss}
    return Model(name, numbers if alpha is None else {**numbers, "alpha": alpha}, cost)


def _with_loss(name: str, loss: str, alpha: float | None = None) -> Model:
    return _model(name, "recurrent_3d_denseunet", 1.0, loss, alpha)


# Costs: CPU seconds of a training step beside those of the proposed network, at width 8 and 96x96x8.
MODELS = {
    PROPOSED: _with_loss(PROPOSED, "bce"),
    **{
        name: _model(name, name, cost)
        for name, cost in (
            ("unet2d", 0.6),
            ("lungnet2d", 1.3),
            ("lungnet3d", 1.5),
            ("unet3d", 0.6),
            ("denseunet3d", 1.3),
            ("denseunet3d_recurrent", 1.4),
        )
    },
    **{f"tversky_{alpha:g}": _with_loss(f"tversky_{alpha:g}", "tversky", alpha) for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)},
    "focal": _with_loss("focal", "focal"),
    "iou": _with_loss("iou", "iou"),
}

RECOMMENDED = Model("recommended", {"network_name": "recurrent_3d_denseunet"})  # with the loss of the setting

# (title, model, mean, median)
TABLE_3 = (
    ("2D-UNet", "unet2d", 0.5848, 0.6229),
    ("2D-LungNet", "lungnet2d", 0.6267, 0.6678),
    ("3D-LungNet", "lungnet3d", 0.6577, 0.7039),
    ("Proposed Method", PROPOSED, 0.7228, 0.7556),
)
TABLE_4 = (
    ("3D-UNet", "unet3d", 0.6961, 0.7326),
    ("3D-DenseUNet", "denseunet3d", 0.6884, 0.7188),
    ("3D-DenseUNet with recurrent block", "denseunet3d_recurrent", 0.7049, 0.7646),
    ("Our proposed network", PROPOSED, 0.7228, 0.7556),
)
# (title, model, mean, median, false positives, false negatives)
TABLE_5 = (
    ("tversky loss (α=0.1)", "tversky_0.1", 0.6244, 0.6637, 786, 221),
    ("tversky loss (α=0.3)", "tversky_0.3", 0.6933, 0.7195, 453, 272),
    ("tversky loss (α=0.5) [Dice loss]", "tversky_0.5", 0.6963, 0.7372, 375, 287),
    ("tversky loss (α=0.7)", "tversky_0.7", 0.7056, 0.7282, 417, 324),
    ("tversky loss (α=0.9)", "tversky_0.9", 0.7125, 0.7462, 243, 396),
    ("Focal loss", "focal", 0.7159, 0.7493, 498, 349),
    ("IOU loss", "iou", 0.6981, 0.726, 437, 296),
    ("binary crossentropy", PROPOSED, 0.7228, 0.7556, 321, 331),
)
# (title, threshold, dilation, mean, median, false positives, false negatives)
TABLE_6 = (
    ("0.5 threshold", 0.5, True, 0.7169, 0.7296, 446, 280),
    ("0.6 threshold", 0.6, True, 0.7174, 0.7383, 372, 297),
    ("0.7 threshold", 0.7, True, 0.7228, 0.7556, 321, 331),
    ("0.8 threshold", 0.8, True, 0.7368, 0.7685, 261, 361),
    ("0.9 threshold", 0.9, True, 0.7278, 0.7763, 208, 403),
    ("No threshold", NO_THRESHOLD, False, 0.6685, 0.7624, 120, 789),
    ("No dilation with 0.7 threshold", 0.7, False, 0.6604, 0.7147, 321, 332),
    ("No dilation with 0.8 threshold", 0.8, False, 0.6626, 0.6859, 261, 362),
)
PRINTED = ("mean", "median", "false_positive_slices", "false_negative_slices")
TUNED = "Proposed, threshold and kernel chosen on validation"
OWN = "Proposed network, our loss, threshold and kernel chosen on validation"

BORROWED = (
    "The paper's 2D-UNet, 2D-LungNet and 3D-LungNet are figures of Hossain et al. (2019), digit for digit: slices with "
    "tumour alone, those missed counted 0, false positives not at all (the column “tumour slices” here). They don't "
    "compare with the row below them."
)
UNSAID = (
    "The paper does not say in what “3D-DenseUNet with recurrent block” differs from the proposed network. What is "
    "trained here is a guess, declared in docs/papers/kamal.md."
)
SWAPPED = (
    "“No threshold” is read as p > 0.001 without dilation. The paper prints 120 false positives and 789 false "
    "negatives; the order of the rows above it, and a report by the same team, suggest that the two are swapped."
)


def kamal(setting: str = "recommended", spatial_size: int = SIZE, own_epochs: int | None = None) -> Plan:
    """The plan of the paper with the masks' rules of `setting`.

    own_epochs: of the line with the setting's own loss, which then trains longer or shorter than those of the paper.

    On a grid of fewer pixels a row than the paper's 256 the kernel keeps its share of the image: 7x7 becomes 3x3 at
    96. Raises UsageError for an unknown setting.
    """
    if setting not in RULES:
        raise UsageError(f"there is no setting {setting!r}; there are: {', '.join(RULES)}")
    rules = replace(RULES[setting], radius=kernel_radius(RULES[setting].radius, spatial_size, RULES[setting].grid))
    return Plan(
        name="kamal",
        title="Kamal et al.: Lung Cancer Tumor Region Segmentation Using Recurrent 3D-DenseUNet",
        kind=Tumours(),
        bundle=BUNDLE,
        labels={"tumor": ("gtv",)},
        rules=rules,
        cohort=CohortTable(
            2, "Patients, and slices with and without tumour", {"train": (260, 4296, 26951), "test": (40, 848, 3630)}
        ),
        tables=_tables(rules, _own(setting, own_epochs)),
    )


def kernel_radius(radius: int, spatial_size: int, grid: str) -> int:
    """The kernel's radius in pixels on a network grid of so many pixels a row, at least 1; 3 on the paper's 256.

    On the image's own grid it does not depend on the network's.
    """
    return radius if grid == "image" else max(1, round(radius * spatial_size / SIZE))


def _own(setting: str, epochs: int | None) -> Row | None:
    """The line of a setting that has a loss of its own. Raises UsageError for epochs of a line that is not there."""
    if setting != "recommended":
        if epochs is not None:
            raise UsageError(f"the setting {setting} has no loss of its own: no epochs for it")
        return None
    if epochs is None:
        return Row(OWN, RECOMMENDED, None)
    numbers = {**RECOMMENDED.numbers, "epochs": epochs}
    return Row(f"{OWN}, {epochs} epochs", replace(RECOMMENDED, numbers=numbers), None)


def _tables(rules: TumorRules, own: Row | None) -> tuple[Table, ...]:
    """own: one more line of Tables 3 and 5."""
    tuned = Row(TUNED, MODELS[PROPOSED], None)
    ours = (own,) if own else ()
    three, four, five = (
        tuple(Row(row[0], MODELS[row[1]], rules, dict(zip(PRINTED, row[2:], strict=False))) for row in table)
        for table in (TABLE_3, TABLE_4, TABLE_5)
    )
    six = tuple(
        Row(
            title,
            MODELS[PROPOSED],
            replace(rules, threshold=threshold, kernel=rules.kernel if dilation else "none"),
            dict(zip(PRINTED, paper, strict=True)),
        )
        for title, threshold, dilation, *paper in TABLE_6
    )
    return (
        Table(3, "Methods", (*three, tuned, *ours), (BORROWED,), ("slice_dice_tumor_slices",)),
        Table(4, "Architectures", (*four, tuned), (UNSAID,)),
        Table(5, "Loss functions", (*five, *ours), ("α weighs false positives, as in the paper's order of rows.",)),
        Table(6, "Thresholds and dilation", (*six, tuned), (SWAPPED,)),
    )
