"""Work items: what happens to one never happens to another."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.errors import OutputError, SeriesError, UsageError
from data_prep.work import Job, Limits, in_processes, in_turn, on_dask

HOUR = Limits(time_s=3600)


def double(number):
    return {"twice": 2 * number}


def fail(error):
    raise error


def crash(_):
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(_):
    os._exit(3)


def hang(_):
    time.sleep(3600)


def eat(_):
    return {"bytes": len(bytearray(3 * 2**30))}


def jobs(*makes):
    return [Job(f"{make.__name__} {n}", make, (n,)) for n, make in enumerate(makes)]


@pytest.mark.parametrize("run", [in_turn, lambda work: in_processes(work, 3, HOUR)])
def test_every_job_is_done_once(run):
    outcomes = list(run(jobs(*[double] * 7)))
    assert sorted(one.name for one in outcomes) == [f"double {n}" for n in range(7)]
    assert sorted(one.record["twice"] for one in outcomes) == list(range(0, 14, 2))


@pytest.mark.parametrize("run", [in_turn, lambda work: in_processes(work, 2, HOUR)])
def test_errors_cost_their_own_job(run):
    errors = [SeriesError("no slices"), OutputError("disk full"), KeyError("a tag"), MemoryError()]
    errors.append(RuntimeError("can't start new thread"))
    work = [Job(type(error).__name__, fail, (error,)) for error in errors] + jobs(double)
    outcomes = {one.name: one for one in run(work)}
    assert outcomes["SeriesError"].problem == "no slices"
    assert outcomes["OutputError"].fatal and not outcomes["SeriesError"].fatal
    assert outcomes["KeyError"].unexpected and "unexpected KeyError" in outcomes["KeyError"].problem
    assert (
        outcomes["MemoryError"].problem == outcomes["RuntimeError"].problem and not outcomes["RuntimeError"].unexpected
    )
    assert "memory" in outcomes["MemoryError"].problem
    assert outcomes["double 0"].record == {"twice": 0}


def test_crashes_and_hangs_cost_their_own_job():
    work = jobs(crash, double, leave, hang, double)
    began = time.monotonic()
    outcomes = {one.name: one for one in in_processes(work, 2, Limits(time_s=1.5))}
    assert "crashed (SIGSEGV)" in outcomes["crash 0"].problem
    assert "exit code 3" in outcomes["leave 2"].problem
    assert "longer than 1.5 s" in outcomes["hang 3"].problem
    assert outcomes["double 1"].record and outcomes["double 4"].record
    assert time.monotonic() - began < 60


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_too_much_memory_costs_its_own_job():
    outcomes = {one.name: one for one in in_processes(jobs(eat, double), 2, Limits(memory_gb=1))}
    assert "--memory-gb" in outcomes["eat 0"].problem and outcomes["double 1"].record


def test_children_end_with_their_parent(tmp_path):
    script = (
        "import sys, time, os\n"
        "from data_prep.work import Job, Limits, in_processes\n"
        "def child(path):\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        f"next(in_processes([Job('a', child, ({str(tmp_path / 'pid')!r},))], 1, Limits()))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 30
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline and alive(child):
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
    except OSError:
        os.kill(pid, 0)
        return True


def test_the_same_jobs_on_dask():
    distributed = pytest.importorskip("distributed", reason="dask is not installed: the extra `dask`")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        work = [Job("ok", max, (3, 4)), Job("bad", int, ("x",)), Job("slow", time.sleep, (600,))]
        outcomes = {one.name: one for one in on_dask(work, cluster.scheduler_address, Limits(time_s=3))}
    assert outcomes["ok"].record == 4
    assert "unexpected ValueError" in outcomes["bad"].problem
    assert "longer than 3 s" in outcomes["slow"].problem


def test_no_scheduler_is_wrong_usage():
    pytest.importorskip("distributed", reason="dask is not installed: the extra `dask`")
    with pytest.raises(UsageError, match="no Dask scheduler"):
        list(on_dask([], "tcp://127.0.0.1:9", Limits()))
