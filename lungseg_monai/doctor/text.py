"""What was found, for people."""

from collections.abc import Iterator, Mapping
from typing import Any


def table(found: Mapping[str, Any]) -> str:
    """Sections of lines; the verdict comes last."""
    lines = [line for section in (_versions, _machine, _models, _tests) for line in ("", *section(found))]
    missing = [f"  {one['package']} ({one['good_for']}): {one['install']}" for one in found["optional"]]
    lines += ["", "Not installed, and needed only for", *missing] if missing else []
    lines += ["", *(f"warning: {one}" for one in found["warnings"])] if found["warnings"] else []
    lines += [
        "",
        *(f"PROBLEM: {one}" for one in found["problems"]),
        *(["all is well"] if not found["problems"] else []),
    ]
    return "\n".join(lines[1:])


def _versions(found: Mapping[str, Any]) -> Iterator[str]:
    yield "Versions"
    for name, version in found["versions"].items():
        yield f"  {name:<26}{version or '-'}"


def _machine(found: Mapping[str, Any]) -> Iterator[str]:
    system, cpu, memory = found["system"], found["cpu"], found["memory"]
    yield "Machine"
    yield f"  {'system':<26}{' '.join(system.values())}"
    settings = "".join(f", {name}={value}" for name, value in cpu["settings"].items())
    yield f"  {'cores':<26}{cpu['usable_cores']} of {cpu['cores']} may be used{settings}"
    limit = f", limited to {_gib(memory['limit_bytes'])}" if memory["limit_bytes"] else ""
    yield f"  {'memory':<26}{_gib(memory['free_bytes'])} free of {_gib(memory['total_bytes'])}{limit}"
    for one in found["disk"]:
        yield f"  {'disk, ' + one['what']:<26}{_gib(one['free_bytes'])} free" + (
            "" if one["writable"] else ", not writable"
        )
    for one in found["devices"]:
        usable = {True: "", False: ", not usable", None: ", usable by torch? --deep tells"}[one["usable"]]
        yield f"  {'device ' + one['kind']:<26}{one['name']}{usable}"


def _models(found: Mapping[str, Any]) -> Iterator[str]:
    yield "Backends"
    for one in found["backends"]:
        state = one["version"] or "installed" if one["installed"] else f"-  pip install 'lungseg-monai[{one['extra']}]'"
        yield f"  {one['name']:<26}{state}"
    yield ""
    yield "Bundles that segment"
    for one in found["bundles"]:
        yield f"  {one['name']:<26}{one['version'] or '-'}, {one['place']}, {one['licence'] or 'no licence file'}"
        if one["phantom_only"]:
            yield f"  {'':<26}trained on phantoms alone: says nothing about patients"
        for file in one["files"]:
            size = "" if file["bytes"] is None else f", {file['bytes'] / 1e6:.1f} MB"
            yield f"    {file['name']:<24}{file['status']}{size}, SHA-256 {(file['sha256'] or '-')[:16]}"
        auto = one["auto"]
        yield f"    {'auto takes':<24}" + (f"{auto['backend']} on {auto['device']}" if auto else "nothing")


def _tests(found: Mapping[str, Any]) -> Iterator[str]:
    if found["self_test"] is None:
        yield "Self-test: not asked for (--self-test)"
        return
    yield "Self-test: a made chest, lungs found against the truth and against the other backends"
    for one in found["self_test"]:
        truth, others = ("-" if one[key] is None else f"{one[key]:.4f}" for key in ("dice_truth", "dice_others"))
        took = "-" if one["seconds"] is None else f"{one['seconds']:.1f} s"
        yield f"  {one['bundle'] + ', ' + one['backend']:<26}Dice {truth}, {others}; {took}"


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
