"""Jobs in this process and in several: what each costs, and what it costs the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from hilum.core import cores
from hilum.core.errors import InputError, InternalError, ResourceError, UsageError
from hilum.executors import Here, Limits, Pool, Share, share_out
from support.work import do

posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals of Unix")
GIB = 2**30


def pool(jobs: int = 2, **limits) -> Pool:
    return Pool(Share(jobs, 1, Limits(**limits)))


def test_in_this_process_jobs_are_done_in_order_and_an_error_costs_one():
    ended = list(Here().run(do, ["a", "refuse", "bug", "b"]))
    assert [one.job for one in ended] == ["a", "refuse", "bug", "b"]
    assert ended[0].value == ("A", os.getpid())
    assert isinstance(ended[1].error, InputError)
    assert isinstance(ended[2].error, InternalError)
    assert ended[3].value == ("B", os.getpid())


def test_a_pool_does_all_jobs_in_processes_that_are_used_again():
    ended = list(pool().run(do, "abcdefgh"))
    assert sorted(one.job for one in ended) == list("abcdefgh")
    assert all(one.value[0] == one.job.upper() for one in ended)
    processes = {one.value[1] for one in ended}
    assert len(processes) <= 2
    assert os.getpid() not in processes


@posix
def test_a_job_that_crashes_is_killed_or_fails_costs_only_itself():
    words = ["a", "crash", "killed", "exit", "refuse", "bug", "odd", "lambda", "b", "c"]
    ended = {one.job: one for one in pool().run(do, words)}
    assert set(ended) == set(words)
    assert {word for word in words if ended[word].lost} == {"crash", "killed", "exit"}
    assert all(isinstance(ended[word].error, ResourceError) for word in ("crash", "killed", "exit"))
    assert "SIGSEGV" in ended["crash"].error.message
    assert "most likely because memory ran out" in ended["killed"].error.message
    assert "code 3" in ended["exit"].error.message
    assert ended["refuse"].error.hint == "Try another."
    assert "ZeroDivisionError: of a test" in ended["bug"].error.message
    assert "_Odd" in ended["odd"].error.message
    assert isinstance(ended["lambda"].error, InternalError)
    assert [ended[word].value[0] for word in "abc"] == ["A", "B", "C"]


def test_a_job_that_hangs_is_ended_at_its_time_limit():
    ended = {one.job: one for one in pool(time_s=3.0).run(do, ["hang", "a", "b"])}
    assert ended["hang"].error.message == "The scan took longer than 3 s."
    assert ended["hang"].error.exit_code == 7
    assert ended["hang"].lost
    assert ended["a"].value[0] == "A"
    assert ended["b"].value[0] == "B"


def test_a_job_that_takes_too_much_memory_is_ended():
    ended = {one.job: one for one in pool(memory=GIB // 2, time_s=300.0).run(do, ["grow", "a"])}
    assert ended["grow"].error.message == "The scan took more than 0.5 GB of memory."
    assert ended["a"].error is None


def test_jobs_are_asked_for_when_they_can_be_begun():
    asked = []

    def jobs() -> Iterator[str]:
        for number in range(20):
            asked.append(number)
            yield str(number)

    for count, _ in enumerate(pool().run(do, jobs()), 1):
        assert len(asked) <= count + 2


def test_closing_the_iterator_ends_the_processes():
    before = set(psutil.Process().children(recursive=True))
    running = pool().run(do, ["a", "hang", "hang"])
    assert next(running).job == "a"
    running.close()
    after = set(psutil.Process().children(recursive=True)) - before
    assert [child for child in after if "spawn_main" in " ".join(child.cmdline())] == []


def test_threads_are_shared_out_and_the_environment_is_as_before():
    before = dict(os.environ)
    (ended,) = pool(1).run(do, ["threads"])
    assert ended.value == (1, "1")
    assert dict(os.environ) == before


@posix
def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from hilum.executors import Limits, Pool, Share
        from support.work import do
        if __name__ == "__main__":
            print(sorted(one.value[1] for one in Pool(Share(1, 1, Limits())).run(do, ["a"])), flush=True)
            list(Pool(Share(2, 1, Limits())).run(do, ["hang", "hang"]))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    process = subprocess.Popen([sys.executable, str(tmp_path / "script.py")], stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("[")
    parent, end = psutil.Process(process.pid), time.monotonic() + 120
    while len(workers := [c for c in parent.children() if "spawn_main" in " ".join(c.cmdline())]) < 2:
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_script_without_a_guard_is_told_what_it_needs(tmp_path):
    code = f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from hilum.executors import Limits, Pool, Share
        from support.work import do
        list(Pool(Share(1, 1, Limits())).run(do, ["a"]))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=300
    )
    assert "if __name__ == '__main__'" in done.stderr.splitlines()[-1]


# -- sharing out --------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr("hilum.executors.limits.core_count", lambda: 8)
    monkeypatch.setattr("hilum.core.cores.core_count", lambda: 8)
    monkeypatch.setattr("hilum.executors.limits.free_memory", lambda: 20 * GIB)
    for name in ("OMP_NUM_THREADS", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("jobs", "threads"), [(1, 4), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_jobs_and_threads_together_are_not_more_than_cores(machine, jobs, threads):
    assert share_out(jobs).threads == threads


def test_auto_takes_what_cores_and_memory_allow(machine, monkeypatch):
    assert share_out(None).jobs == 6  # 18 of 20 GB, 3 each
    assert share_out(None, Limits(memory=GIB)).jobs == 8
    monkeypatch.setattr("hilum.executors.limits.free_memory", lambda: GIB)
    assert share_out(None).jobs == 1


@pytest.mark.parametrize(
    ("told", "jobs", "each"),
    [
        ({"SLURM_MEM_PER_NODE": "10240"}, 3, 3.0),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "5"}, 3, 3.0),
        ({"SLURM_MEM_PER_NODE": "512000"}, 6, 3.0),  # more than is free
        ({"SLURM_MEM_PER_NODE": "0"}, 6, 3.0),  # all there is
        ({"SLURM_MEM_PER_NODE": "1024"}, 1, 0.9),
    ],
)
def test_a_job_of_slurm_takes_no_more_memory_than_it_was_given(machine, monkeypatch, told, jobs, each):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    share = share_out(None)
    assert (share.jobs, round(share.limits.memory / GIB, 2)) == (jobs, each)


def test_the_plan_says_what_each_job_may_take(machine):
    said = share_out(4, Limits(time_s=60)).described()
    assert said == "4 scans at a time, 2 threads each, at most 4.5 GB of memory each, at most 60 s each."


def test_limits_beyond_the_memory_or_below_zero_are_refused(machine):
    with pytest.raises(UsageError, match="more than the 18"):
        share_out(8, Limits(memory=4 * GIB))
    for limits in (Limits(time_s=0.0), Limits(memory=-1)):
        with pytest.raises(UsageError, match="expected more than 0"):
            share_out(2, limits)


def test_a_wish_for_fewer_threads_is_obeyed(monkeypatch):
    monkeypatch.setattr(cores, "core_count", lambda: 8)
    for wish, threads in (("", 4), ("2", 2), ("64", 4), ("none", 4), ("0", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", wish)
        assert cores.thread_count() == threads


def test_a_container_limits_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    for text, expected in (("150000 100000\n", 2), ("max 100000\n", None)):
        (tmp_path / "cpu.max").write_text(text)
        cores._container_cores.cache_clear()
        assert cores._container_cores() == expected
    cores._container_cores.cache_clear()
