"""`lungseg bundles`: what can be trained and used here."""

import argparse
from typing import Any

from data_prep.terminal import NOTHING, PARTLY, add_command, complain, tell
from lungseg_monai.errors import LungsegError

MARGIN = 12


def add(commands: Any) -> None:
    command = add_command(commands, "bundles", "list the bundles: task, paper, input, weights, scores", run)
    command.add_argument("name", nargs="?", metavar="NAME", help="of one bundle: that one alone, with its parameters")
    command.add_argument(
        "--count", action="store_true", help="count the parameters of all (builds the networks, takes seconds)"
    )


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.bundle_facts import bundle_facts, bundle_names

    if arguments.name is not None:
        facts = _counted(bundle_facts(arguments.name))
        return tell(arguments, text(facts), facts)
    found: list[dict[str, Any]] = []
    problems = []
    for name in bundle_names():
        try:
            facts = bundle_facts(name)
            found.append(_counted(facts) if arguments.count else facts)
        except LungsegError as error:
            problems.append(str(error))
    for problem in problems:
        complain("lungseg", problem, PARTLY)
    if not found:
        return complain("lungseg", "there is no bundle: install the package again", NOTHING)
    hint = "" if arguments.count else "\n\nParameters: lungseg bundles NAME. To train one: lungseg train NAME."
    told = tell(arguments, "\n\n".join(map(text, found)) + hint, {"bundles": found, "problems": problems})
    return PARTLY if problems else told


def text(facts: dict[str, Any]) -> str:
    """A bundle in a few lines."""
    lines = [
        facts["name"],
        _line("task", facts["task"]),
        _line("paper", facts["papers"][0] if facts["papers"] else "none"),
        _line("input", f"{facts['input']['what']}; {_shape(facts['input'])}"),
        _line("weights", _weights(facts)),
    ]
    weights = facts["weights"] or {}
    if weights.get("scores"):
        scores = ", ".join(f"{name} {value:.3f}" for name, value in weights["scores"].items())
        lines.append(_line("scores", f"{scores} on {weights['scored_on']}"))
    counted = dict(facts.get("parameters") or {})
    if weights.get("parameters"):
        counted["shipped"] = weights["parameters"]
    if counted:
        lines.append(_line("parameters", ", ".join(f"{count:,} ({name})" for name, count in counted.items())))
    return "\n".join(lines)


def _counted(facts: dict[str, Any]) -> dict[str, Any]:
    """With the parameters of each setting, and of the shipped weights' network."""
    from lungseg_monai.bundle_parameters import count_parameters, parameters_by_setting

    weights = facts["weights"]
    if weights is not None and weights["numbers"]:
        weights = {**weights, "parameters": count_parameters(facts["name"], weights["numbers"])}
    return {**facts, "parameters": parameters_by_setting(facts["name"]), "weights": weights}


def _shape(given: dict[str, Any]) -> str:
    sides = " x ".join(str(side).replace("*", "") for side in given["shape"])
    return f"{given['channels']} x {sides}"


def _weights(facts: dict[str, Any]) -> str:
    weights = facts["weights"]
    if weights is None:
        return "none shipped"
    files = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in weights["files"].items())
    words = [files, f"licence: {weights['licence'] or 'see its docs/README.md'}"]
    if facts["phantom_only"]:
        words.append("trained on phantoms alone: for phantoms alone")
    return "; ".join(words)


def _line(name: str, value: str) -> str:
    return f"  {name:<{MARGIN}}{value}"
