"""What the chest X-ray paper and Kuppili print, and what to train to print it again; pre-processing step by step."""

from lungseg_monai.errors import UsageError
from lungseg_monai.pictures.steps import SETTINGS, steps_of, without
from lungseg_monai.postprocessing_cxr import RULES, CxrRules
from lungseg_monai.reproduce.plan import Model, Plan, Row, Table
from lungseg_monai.reproduce.radiographs import Radiographs

BUNDLES = {
    "unet": "cxr_lung_unet",
    "fcnn": "cxr_lung_fcnn",
    "deeplabv3": "cxr_lung_deeplabv3",
    "resnet50_unet": "cxr_lung_resnet50_unet",
}
# What the bundle calls the channels of its network's first block.
FIRST_BLOCK = {"unet": "n_filters", "fcnn": "n_filters", "deeplabv3": "n_filters", "resnet50_unet": "width"}
# CPU seconds of a training step beside those of the dearest, by the numbers of `recommended`.
COSTS = {"unet": 1.0, "fcnn": 0.2, "deeplabv3": 0.5, "resnet50_unet": 0.8}
TITLES = {"unet": "U-Net", "fcnn": "FCNN", "deeplabv3": "DeepLabV3", "resnet50_unet": "U-Net on ResNet50"}
# Table 2: mDice, mIOU, MSE.
TABLE_2 = {
    "unet": {"dice": 0.97, "iou": 0.94, "mse": 0.02},
    "fcnn": {"dice": 0.92, "iou": 0.86, "mse": 0.04},
    "deeplabv3": {"dice": 0.96, "iou": 0.95, "mse": 0.01},
}
KUPPILI_IOU = 0.87  # section 4
# "A post-processing layer that eliminates superfluous parts": two pieces of the more probable class, and no more.
KUPPILI_RULES = CxrRules(global_threshold=0.5, opening=0.0, pieces=2, least_share=0.0, holes=False, sides=False)
PREPROCESSING = "preprocessing"

ANOTHER_SET = (
    "The paper's figures are of 362 test images of another set, Qatar's COVID-19 folder, with masks of its own. Beside "
    "scores of other images they say what is usual, not what is better."
)
DEEPLAB = (
    "The paper's DeepLab row, Dice 0.96 with IoU 0.95, hardly adds up. Of one image Dice is 2 IoU / (1 + IoU), so 0.95 "
    "goes with 0.974. Of means, Dice lies between the mean IoU and that figure; 0.96 is reached only where some images "
    "are missed wholly and the others are nearly perfect (3 % of them at 0, the rest at IoU 0.98; with rounding at its "
    "kindest 1.4 % at 0, the rest at 0.96), of which the text says nothing. Its MSE, 0.01, fits IoU 0.95: where lungs "
    "are a quarter of the image, a Dice of 0.974 leaves 1.3 % of the pixels wrong, one of 0.96 leaves 2 %. Or the row "
    "averages the IoU over lung and background, as the text's “for all classes” may mean: then 0.96 gives 0.95, but "
    "U-Net's 0.97 would give 0.96 and not 0.94. The column “both classes” holds that average of ours."
)
KUPPILI_SAID = (
    "Kuppili's IoU is “divided by the number of batches”: a mean over batches, of how many images is not said. Its "
    "images are not named, nor whether ResNet50 came with weights of ImageNet; here it starts from random ones."
)
ABLATION_SAID = (
    "One network, one seed, the same setting but for the steps. One training a row: differences as small as between "
    "two seeds mean nothing. “None” is grey values from 0 to 1 at the network's size, nothing else."
)


def networks_of(asked: tuple[str, ...] | None, ablate: str | None) -> tuple[str, ...]:
    """Those to train, by name. Raises UsageError where an ablation is asked for several."""
    if ablate is None:
        return asked or tuple(BUNDLES)
    if asked is not None and len(asked) > 1:
        raise UsageError(f"--ablate {ablate} is of one network; --networks names {len(asked)}")
    return asked or ("unet",)


def cxr(setting: str = "recommended", networks: tuple[str, ...] = tuple(BUNDLES)) -> Plan:
    """Table 2 for `networks`, and Kuppili's IoU if resnet50_unet is among them. Raises UsageError: unknown setting."""
    rules = rules_of(setting)
    of_paper = tuple(name for name in networks if name in TABLE_2)
    tables = []
    if of_paper:
        rows = [Row(TITLES[name], _model(name), rules, TABLE_2[name]) for name in of_paper]
        if rules != RULES["paper"]:
            rows += [Row(f"{TITLES[name]}, thresholds united", _model(name), RULES["paper"]) for name in of_paper]
        notes = (ANOTHER_SET, *((DEEPLAB,) if "deeplabv3" in of_paper else ()))
        tables.append(Table(2, "Quantitative evaluation", tuple(rows), notes))
    if "resnet50_unet" in networks:
        tables.append(_kuppili_table(setting))
    return Plan(
        name="cxr",
        title="Lung radiography segmentation: U-Net, FCNN and DeepLabV3",
        kind=Radiographs(),
        bundle=BUNDLES[networks[0]],
        rules=rules,
        tables=tuple(tables),
    )


def kuppili(setting: str = "recommended") -> Plan:
    """Kuppili's one figure. Raises UsageError for an unknown setting."""
    return Plan(
        name="kuppili",
        title="Kuppili: Lung Segmentation using Deep Learning",
        kind=Radiographs(),
        bundle=BUNDLES["resnet50_unet"],
        rules=rules_of(setting),
        tables=(_kuppili_table(setting),),
    )


def ablation(setting: str = "recommended", network: str = "unet") -> Plan:
    """One network by pre-processing: the paper's, each of its steps left out, none, ours; clean and damaged pictures.

    All else is as `setting` says. Raises UsageError for an unknown setting.
    """
    rules = rules_of(setting)
    off = [step["name"] for step in SETTINGS["paper"] if step["name"] not in ("grey", "resize")]
    steps = {
        "paper": ("As in the paper", steps_of("paper")),
        **{f"without_{name}": (f"Without {name.replace('_', ' ')}", without("paper", name)) for name in off},
        "none": ("None", steps_of([{"name": "grey"}, {"name": "resize"}])),
        "recommended": ("Recommended", steps_of("recommended")),
    }
    rows = tuple(
        Row(title, Model(name, {"steps": of_row}, bundle=BUNDLES[network]), rules)
        for name, (title, of_row) in steps.items()
    )
    return Plan(
        name="cxr",
        title=f"Lung radiography segmentation: {TITLES[network]} by pre-processing",
        kind=Radiographs(damaged=True),
        bundle=BUNDLES[network],
        rules=rules,
        tables=(Table(PREPROCESSING, "Pre-processing, step by step", rows, (ABLATION_SAID,)),),
    )


def rules_of(setting: str) -> CxrRules:
    """How masks are made. Raises UsageError for an unknown setting."""
    if setting not in RULES:
        raise UsageError(f"there is no setting {setting!r}; there are: {', '.join(RULES)}")
    return RULES[setting]


def _model(name: str) -> Model:
    return Model(name, {}, COSTS[name], BUNDLES[name])


def _kuppili_table(setting: str) -> Table:
    rules = KUPPILI_RULES if setting == "paper" else rules_of(setting)
    row = Row(TITLES["resnet50_unet"], _model("resnet50_unet"), rules, {"iou": KUPPILI_IOU})
    return Table("kuppili", "Kuppili: IoU", (row,), (KUPPILI_SAID,))
