"""What is tried, and trying it on all cores."""

from dataclasses import dataclass

from benchmarks.lungs import chests, faults, phantoms
from benchmarks.lungs.judge import Verdict, dice
from benchmarks.lungs.roads import NETWORK, segmented, tried
from benchmarks.lungs.sample import Group
from benchmarks.pool import spread

GROUPS = {
    "findings": Group(
        "Findings",
        "One finding on one side of ordinary bodies, an ordinary scan, on a grid of 3 mm.",
        chests.FINDING_ROWS,
        chests.with_finding,
        5,
        of_quick=("none", "effusion", "lobar_collapse", "bullae", "wall_mass"),
    ),
    "fine": Group(
        "Findings on a fine grid",
        "As before on 1.5 mm: what the border and the way there and back add.",
        chests.FINE_ROWS,
        chests.fine,
        3,
        of_quick=("none",),
    ),
    "faults": Group(
        "Faults of a scan",
        "One fault at a time on healthy chests, the same chests in each row. What the image does not show is no lung.",
        faults.FAULT_ROWS,
        faults.with_fault,
        6,
        shared=True,
        of_quick=("none", "noise-100", "slices-10", "hu-minus-100", "circle-3024", "slab-50", "one-lung"),
    ),
    "bodies": Group(
        "Bodies",
        "Healthy, an ordinary scan, on 3 mm.",
        chests.BODY_ROWS,
        chests.of_body,
        5,
        of_quick=("child", "prone"),
    ),
    "mix": Group(
        "As training draws them",
        "Scenes of seeds that training never uses: bodies, findings, cuts and faults at once.",
        chests.MIX,
        chests.drawn_mix,
        40,
        quick=3,
    ),
    "elsewhere": Group(
        "No chest",
        "Every ml found is a mistake; more than 20 ml is a failure.",
        chests.ELSEWHERE_ROWS,
        chests.elsewhere,
        5,
    ),
    "phantom": Group(
        "Another generator",
        "Patients of `lungseg-prep phantom`, made by other code, with exact truth, on grids of all kinds.",
        phantoms.ROWS,
        phantoms.scanned_patient,
        2,
        of_quick=("small", "oblique", "sagittal"),
    ),
}
TURNED = 2  # patients that are stored in every order of axes
FIRST = ("faults", "phantom", "fine")  # the longest


@dataclass(frozen=True)
class Task:
    """Samples that one process makes, one after another."""

    group: str
    rows: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class Tried:
    group: str
    row: str
    number: int
    verdicts: dict[str, Verdict]

    @property
    def name(self) -> str:
        return f"{self.group}/{self.row}/{self.number}"


def tasks(quick: bool, only: tuple[str, ...] = (), most: int | None = None) -> list[Task]:
    """In an order that leaves no long one to the end."""
    made = []
    for name in sorted(only or GROUPS, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        group = GROUPS[name]
        rows = tuple((quick and group.of_quick) or group.rows)
        count = group.quick if quick else group.count
        for number in range(min(count, most or count)):
            made += [Task(name, rows, number)] if group.shared else [Task(name, (row,), number) for row in rows]
    return made


def try_all(todo: list[Task], jobs: int) -> list[Tried]:
    found: dict[str, Tried] = {}
    for done in spread(_try, todo, jobs):
        found |= {one.name: one for one in done}
    return [found[f"{task.group}/{row}/{task.number}"] for task in todo for row in task.rows]


def turns(jobs: int, patients: int = TURNED) -> list[tuple[str, int, dict[int, float]]]:
    """(axes, patient, Dice of each lung against the mask of the same voxels in the usual order)."""
    return [one for done in spread(_turn, range(patients), jobs) for one in done]


def _try(task: Task) -> list[Tried]:
    make = GROUPS[task.group].make
    return [Tried(task.group, row, task.number, tried(make(row, task.number))) for row in task.rows]


def _turn(number: int) -> list[tuple[str, int, dict[int, float]]]:
    usual = segmented(phantoms.turned_patient("LPS", number), NETWORK)[0]
    found = []
    for name in phantoms.TURNS:
        if name != "LPS":
            labels = phantoms.TURNS[name].back(segmented(phantoms.turned_patient(name, number), NETWORK)[0])
            found.append((name, number, {side: dice(labels == side, usual == side) for side in (1, 2)}))
    return found
