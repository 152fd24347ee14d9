"""Which plan a command asks for, with all that differs between papers before work begins."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungseg_monai.reproduce.plan import Plan

MakePlan = Callable[[Mapping[str, Mapping[str, Any]]], Plan]
MakePhantom = Callable[[Path, int, int, Callable[[str], None]], Path]


@dataclass(frozen=True)
class Paper:
    """make_plan: of the numbers of `bundles`, as run.reproduce takes it. make_phantom: (folder, how many, seed, say) ->
    PREPARED. machine: keys of train.yaml that change no result; given: those that do."""

    bundles: list[str]
    make_plan: MakePlan
    make_phantom: MakePhantom
    machine: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)


def asked_for(arguments: argparse.Namespace) -> Paper:
    """The paper of parsed arguments of `lungseg reproduce`. Raises UsageError for what does not go together."""
    if arguments.paper == "kamal":
        return _kamal(arguments)
    return _gao(arguments) if arguments.paper == "gao" else _radiographs(arguments)


def _gao(arguments: argparse.Namespace) -> Paper:
    from lungseg_monai.reproduce.gao_paper import BUNDLE, gao
    from lungseg_monai.reproduce.tumours.phantom import make_phantom

    asked = ("epochs", "width", "batch_size", "seed", "spatial_size")
    given = [name for name in asked if getattr(arguments, name) is not None]

    def make_plan(by_bundle: Mapping[str, Mapping[str, Any]]) -> Plan:
        return gao(arguments.setting, by_bundle[BUNDLE], given)

    return Paper([BUNDLE], make_plan, make_phantom)


def _kamal(arguments: argparse.Namespace) -> Paper:
    from lungseg_monai.reproduce.kamal_paper import BUNDLE, kamal
    from lungseg_monai.reproduce.tumours.phantom import make_phantom

    def make_plan(by_bundle: Mapping[str, Mapping[str, Any]]) -> Plan:
        return kamal(arguments.setting, min(by_bundle[BUNDLE]["spatial_size"]), arguments.own_epochs)

    # All models train on the same volumes: they are kept for the next one.
    return Paper([BUNDLE], make_plan, make_phantom, {"cache_dir": str(arguments.out.resolve() / "volumes")})


def _radiographs(arguments: argparse.Namespace) -> Paper:
    from lungseg_monai.reproduce.cxr_paper import BUNDLES, FIRST_BLOCK, ablation, cxr, kuppili, networks_of
    from lungseg_monai.reproduce.radiographs.phantom import make_radiographs

    names = networks_of(arguments.networks, arguments.ablate)
    if arguments.ablate:
        plan = ablation(arguments.setting, names[0])
    elif arguments.paper == "kuppili":
        plan = kuppili(arguments.setting)
    else:
        plan = cxr(arguments.setting, names)
    filters = arguments.n_filters
    given = {} if filters is None else {FIRST_BLOCK[name]: filters for name in names}
    return Paper([BUNDLES[name] for name in names], lambda by_bundle: plan, make_radiographs, given=given)
