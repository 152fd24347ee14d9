"""What was measured, as docs/reference/systems.md."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.peers.page import table
from benchmarks.systems.plan import System
from benchmarks.systems.score import median_seconds, summary

TEXT = Path(__file__).with_name("page.md")
HEAD = ["system", "parameters", "n", "DSC", "lowest", "IoU", "HD95, mm", "failed"]
TIMES = ["training, min (given)", "s a case"]
Result = Mapping[str, Any]


def page(found: Result, systems: Sequence[System], command: str) -> str:
    """docs/reference/systems.md, of systems.json's content."""
    results = found["systems"]
    there = [one for one in systems if one.name in results]
    waiting = [f"`{one.name}`" for one in systems if one.name not in results]
    lungs, nodules = ([one for one in there if one.finds == what] for what in ("lungs", "nodules"))
    parts = {
        "COMMAND": command,
        "TEST": str(len(found["data"]["test"])),
        "LUNGS": table([*HEAD, *TIMES], [_lungs(one, results[one.name]) for one in lungs]),
        "NODULES": table(
            [*HEAD, "missed", "false alarms", *TIMES], [_nodules(one, results[one.name]) for one in nodules]
        ),
        "REAL": _real([(one, results[one.name]) for one in lungs]),
        "WAITING": _filled(f"Not measured: {', '.join(waiting)}.")
        if waiting
        else "All systems of the plan are measured.",
        "RUNS": "\n".join(_run(one, results[one.name]) for one in there),
        "MACHINE": _filled(
            f"Machine: {found['machine']}; threads of each system: {found['threads']}. Other work shared it, so "
            "minutes and seconds are those of a busy one. "
            f"Versions: {', '.join(f'{name} {version}' for name, version in found['versions'].items())}."
        ),
        "WRITTEN": found["written"],
    }
    text = TEXT.read_text(encoding="utf-8")
    for name, value in parts.items():
        text = text.replace("{" + name + "}", value.rstrip())
    return text


def _lungs(system: System, result: Result) -> list[str]:
    if "failed" in result:
        return [f"`{system.name}`", f"failed: {_line(result['failed'])}", *[""] * (len(HEAD) + len(TIMES) - 2)]
    return [*_scores(system, result), *_times(result)]


def _nodules(system: System, result: Result) -> list[str]:
    if "failed" in result:
        return [*_lungs(system, result), "", ""]
    scores = summary(result["cases"])
    missed, alarms = f"{scores['missed']} of {scores['n']}", f"{scores['false_alarms']} of {scores['empty']}"
    return [*_scores(system, result), missed, alarms, *_times(result)]


def _scores(system: System, result: Result) -> list[str]:
    scores = summary(result["cases"])
    figures = [_number(scores[name], 3) for name in ("dice", "lowest", "iou")]
    counts = [f"{result['parameters']:,}", str(scores["n"])]
    return [f"`{system.name}`", *counts, *figures, _number(scores["hd95_mm"], 1), str(scores["failed"])]


def _times(result: Result) -> list[str]:
    given = f" ({result['given_minutes']:g})" if result["given_minutes"] else ""
    trained = f"{result['minutes']:.0f}{given}" if result["minutes"] is not None else "shipped"
    return [trained, _number(median_seconds(result["seconds"]), 1)]


def _real(lungs: Sequence[tuple[System, Result]]) -> str:
    rows = []
    for system, result in lungs:
        real = result.get("real")
        if real is None:
            continue
        if "failed" in real:
            rows.append([f"`{system.name}`", f"failed: {_line(real['failed'])}", "", "", "", ""])
            continue
        for case in real["cases"]:
            if "failed" in case:
                rows.append([f"`{system.name}`", case["case"], f"failed: {_line(case['failed'])}", "", "", ""])
                continue
            figures = [_number(case[name], digits) for name, digits in (("dice", 3), ("iou", 3), ("hd95_mm", 1))]
            seconds = _number(real["seconds"].get(case["case"]), 1)
            rows.append([f"`{system.name}`", case["case"], *figures, seconds])
    return table(["system", "scan", "DSC", "IoU", "HD95, mm", "s"], rows) if rows else "Not measured in this run.\n"


def _run(system: System, result: Result) -> str:
    """A system's commands and numbers."""
    lines = [f"### {system.name}\n"]
    numbers = result.get("numbers") or {}
    if not system.shipped:
        used = {name: numbers.get(name, value) for name, value in system.numbers.items()}
        setting = result.get("setting", system.setting)
        told = {"data": "NODULES" if system.finds == "nodules" else "PREPARED", "out": f"OUT/{system.name}"}
        told |= {} if setting == "recommended" else {"setting": setting}
        options = [word for name, value in {**told, **used}.items() for word in (f"--{name}", str(value))]
        lines.append("    " + shlex.join(["lungseg", "train", system.bundle, *options]))
    lines += ["    " + _prediction(system), ""]
    if "epochs" in result:
        cases = result["trained_on"]
        shown = ", ".join(f"{name} {value}" for name, value in numbers.items() if name != "labels")
        told = f"{cases['training']} patients to train, {cases['validation']} to validate. {_epochs(result)}"
        lines.append(_filled(f"{told} Numbers: {shown}."))
    return "\n".join(lines).rstrip() + "\n"


def _prediction(system: System) -> str:
    out = f"OUT/{system.name}"
    if system.segment is not None:
        options = shlex.join(["--model", system.bundle, *system.segment])
        return f"lungseg segment PREPARED/<case>/image.nii.gz ... --out {out}/test \\\n      {options}"
    weights = "" if system.shipped else f" --checkpoint {out}/checkpoints/best.pt"
    options = "".join(f" --{name} {value}" for name, value in system.predict.items())
    return (
        f"python -m monai.bundle run --config_file bundles/{system.bundle}/configs/inference.yaml \\\n      "
        f"--images \"['PREPARED/<case>/image.nii.gz', ...]\" --output_dir {out}/test{weights}{options}"
    )


def _epochs(result: Result) -> str:
    best = result["best"].get("epoch")
    return f"{result['epochs']} epochs" + (f", number {best} the best by validation." if best else ".")


def _filled(text: str) -> str:
    return fill(text, 118, break_long_words=False, break_on_hyphens=False)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(text: str) -> str:
    """Its first line, and not too long for a table."""
    return text.strip().partition("\n")[0][:160]
