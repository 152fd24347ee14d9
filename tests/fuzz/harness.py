"""Mutations converted in processes of their own: what crashes, hangs or eats memory costs one verdict."""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fuzz.mutators import load_all
from fuzz.oracle import Truth, Verdict, describe, judge, said
from fuzz.reference import contents, meaning
from fuzz.seeds import Link, Seed, Tree, seeds

SALT = b"a salt that only the tests know!"
TIME_S, GRACE_S = 10, 15
MOST_KIB = 2**20
ATTEMPTS = 20
CEILING = 4 * 2**30  # keeps a bomb from taking the machine along
WRITING = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod"}


@dataclass(frozen=True)
class Task:
    """The n-th mutation of a run: everything else follows from it."""

    seed: int
    number: int
    mutator: str


@dataclass(frozen=True)
class Outcome:
    task: Task
    base: str
    verdict: Verdict
    seconds: float = 0.0


class HangError(BaseException):
    """Raised by the alarm, through everything that catches Exception."""


def tasks(seed: int, count: int, only: Sequence[str] = ()) -> list[Task]:
    """`count` mutations, all mutators in turn."""
    names = sorted(only or load_all())
    return [Task(seed, number, names[number % len(names)]) for number in range(count)]


def mutate(task: Task, bases: Sequence[Seed]) -> tuple[Seed, Tree]:
    """The task's input. What pydicom refuses to write is drawn again."""
    for attempt in range(ATTEMPTS):
        source = random.Random(f"{task.seed} {task.number} {task.mutator} {attempt}")
        mutator = load_all()[task.mutator]
        base = source.choice([base for base in bases if base.plain or not mutator.plain])
        try:
            return base, mutator.apply(source, base)
        except Exception:  # pydicom's writer raises whatever it likes
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


def ways() -> dict[str, Any]:
    """Options of a conversion by name: the safe defaults, and all that may be asked for besides."""
    from data_prep.options import ConvertOptions, MaskOptions, StackOptions

    return {
        "plain": ConvertOptions(salt=SALT),
        "resampled": ConvertOptions(salt=SALT, stack=StackOptions(gaps="resample", tilt="resample"),
                                    masks=MaskOptions(interpolate=True)),
        "kept": ConvertOptions(salt=SALT, stack=StackOptions(gaps="keep-uniform-part", tilt="shear"),
                               masks=MaskOptions(coverage=True)),
    }  # fmt: skip


def way_of(task: Task) -> str:
    """How a task's input is converted: by the defaults more often than not."""
    return random.Random(f"{task.seed} {task.number} way").choice(["plain", "plain", "plain", "resampled", "kept"])


def write_tree(folder: Path, files: Tree) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, Link):
            path.write_bytes(content)
        elif content.fifo:
            os.mkfifo(path)
        else:
            path.symlink_to(content.target)


class Bench:
    """One process's workplace: base folder, truths, the alarm, and the eye on what is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True)
        self.log = folder / "written"
        self.handle = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.heard: list[str] = []
        self.allowed: tuple[str, ...] = ("/",)
        sys.dont_write_bytecode = True
        tempfile.tempdir = str(folder / "tmp")
        sys.addaudithook(self._watch)
        signal.signal(signal.SIGALRM, _ring)
        self.bases = seeds()
        self.truths = {base.name: self._truth(base) for base in self.bases}

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                return
        elif event in WRITING:
            path = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
        else:
            return
        if isinstance(path, int) or path is None:
            return
        folder = arguments[-1] if event in WRITING else None  # the descriptor that `path` is relative to, if any
        base = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else "."
        full = os.path.normpath(os.path.join(os.path.realpath(base), os.fsdecode(path)))  # noqa: PTH118
        if not full.startswith(self.allowed):
            os.write(self.handle, f"{event} {full}\n".encode("utf-8", "replace"))

    def _truth(self, base: Seed) -> Truth:
        dataset = self._convert(base.files, "truth")
        assert len(dataset["cases"]) == 1 and not dataset["refused"], f"the seed {base.name}: {dataset}"
        truth = Truth(meaning(contents(base.files)), said(dataset))
        verdict = judge(base, truth, base.files, self.folder / "truth" / "out", dataset, False)
        assert verdict.kind == "same", f"the seed {base.name} is {verdict}"
        shutil.rmtree(self.folder / "truth")
        return truth

    def _convert(self, files: Tree, name: str, way: str = "plain") -> dict[str, Any]:
        from data_prep.convert import convert

        options = ways()[way]
        work = self.folder / name
        work.mkdir()
        self.allowed = ("/",)
        write_tree(work / "in", files)
        self.allowed = (str(work / "out"), str(self.folder / "tmp"), "/dev/null", "/dev/shm", "/dev/tty")
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                return convert(work / "in", work / "out", options=options).dataset
        finally:
            self.allowed = ("/",)
            self.heard = [f"{one.category.__name__} at {Path(one.filename).name}:{one.lineno}" for one in heard]

    def run(self, task: Task, keep: Path | None) -> Outcome:
        started = time.monotonic()
        base, files = mutate(task, self.bases)
        os.ftruncate(self.handle, 0)
        dataset: dict[str, Any] = {}
        signal.alarm(TIME_S)
        try:
            dataset = self._convert(files, "case", way_of(task))
            signal.alarm(0)
            must_say = load_all()[task.mutator].said
            verdict = judge(base, self.truths[base.name], files, self.folder / "case" / "out", dataset, must_say)
        except HangError:
            verdict = Verdict("hang", f"longer than {TIME_S} s")
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            verdict = _raised(error)
        finally:
            signal.alarm(0)
        if self.heard and not verdict.is_defect:
            verdict = Verdict("noise", self.heard[0])
        verdict = self._surroundings() or verdict
        if keep is not None and verdict.is_defect:
            self._keep(
                keep / f"{verdict.kind}-{task.mutator}-{base.name}-{way_of(task)}-{task.number}", verdict, dataset
            )
        shutil.rmtree(self.folder / "case", ignore_errors=True)
        return Outcome(task, base.name, verdict, time.monotonic() - started)

    def _surroundings(self) -> Verdict | None:
        """Whether anything lies, or was written, where it should not; and how much memory it took."""
        written = self.log.read_text(errors="replace")
        found = {path.name for path in self.folder.iterdir()} - {"tmp", "written", "case"}
        found |= {path.name for path in (self.folder / "case").iterdir()} - {"in", "out"}
        left = [path.name for path in (self.folder / "tmp").iterdir()]
        if written or found or left:
            shutil.rmtree(self.folder / "tmp")
            (self.folder / "tmp").mkdir()
            return Verdict("outside", f"{written.strip()[:300]} {sorted(found)} {left}")
        used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return Verdict("memory", f"{used / 2**20:.1f} GiB") if used > MOST_KIB else None

    def _keep(self, folder: Path, verdict: Verdict, dataset: dict[str, Any]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "case", folder, symlinks=True, ignore=_pipes)
        (folder / "verdict.txt").write_text(f"{verdict.kind}: {verdict.detail}\n")
        if dataset:
            (folder / "said.json").write_text(describe(dataset))


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def _ring(*_: object) -> None:
    raise HangError


def _raised(error: Exception) -> Verdict:
    import traceback

    from data_prep.errors import PrepError

    if isinstance(error, PrepError):
        odd = "unexpected" in str(error)
        return Verdict("unexpected" if odd else "refused", f"{type(error).__name__}: {error}")
    return Verdict("crash", "".join(traceback.format_exception(error))[-1500:])


def _serve(pipe: Connection, folder: Path, keep: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (CEILING, CEILING))
    warnings.simplefilter("ignore")  # of pydicom, about what the mutators do
    bench = Bench(folder)
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        outcome = bench.run(task, keep)
        pipe.send(outcome)
        if outcome.verdict.kind == "memory":
            return  # what was taken counts for ever: start afresh


class _Worker:
    def __init__(self, folder: Path, keep: Path | None) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.folder = folder
        # forkserver: by fork and by spawn the highest memory of the parent counts as the process's own
        self.process = multiprocessing.get_context("forkserver").Process(target=_serve, args=(theirs, folder, keep))
        self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.deadline = time.monotonic() + 60

    def give(self, task: Task | None) -> None:
        self.task, self.deadline = task, time.monotonic() + TIME_S + GRACE_S
        self.pipe.send(task)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run_all(todo: Sequence[Task], jobs: int, keep: Path | None = None) -> Iterator[Outcome]:
    """Every task's outcome, as they come."""
    waiting = list(reversed(todo))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        count = 0
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.task for worker in workers):
                while len(workers) < min(jobs, len(waiting) + sum(worker.task is not None for worker in workers)):
                    count += 1
                    workers.append(_Worker(Path(root) / str(count), keep))
                wait([worker.pipe for worker in workers], 0.5)
                for worker in list(workers):
                    outcome = _step(worker, waiting)
                    if outcome is not None:
                        yield outcome
                    if not worker.process.is_alive() or (worker.task is None and not waiting):
                        worker.end()
                        workers.remove(worker)
        finally:
            for worker in workers:
                worker.end()


def _step(worker: _Worker, waiting: list[Task]) -> Outcome | None:
    """Take what the worker has, give it what is next; None while it works."""
    task = worker.task
    try:
        if worker.pipe.poll():
            answer = worker.pipe.recv()
            worker.task = None
            if waiting and (not isinstance(answer, Outcome) or answer.verdict.kind != "memory"):
                worker.give(waiting.pop())
            elif isinstance(answer, Outcome) and answer.verdict.kind == "memory":
                worker.process.join()
            return answer if isinstance(answer, Outcome) else None
    except (EOFError, OSError):
        worker.process.join()
    if worker.process.is_alive() and time.monotonic() < worker.deadline:
        return None
    hung = worker.process.is_alive()
    worker.process.kill()
    worker.process.join()
    worker.task = None
    if task is None:
        raise RuntimeError("a fuzzing process could not start: its message stands above")
    kind, detail = ("hang", "the alarm was not heard") if hung else ("died", f"exit code {worker.process.exitcode}")
    return replace(Outcome(task, "?", Verdict(kind, detail)))
