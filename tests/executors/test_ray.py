"""Jobs on a cluster of Ray in this machine: as without Ray, and nobody is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from hilum.core.errors import InputError, InternalError, MissingExtraError, ResourceError, UsageError
from hilum.executors import Limits, OnRay, parse_on
from hilum.executors.ray_cluster import connected
from support.work import do

GIB = 2**30
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def cluster():
    """Two workers' place, once for all tests: Ray takes long to start."""
    with connected(None, jobs=2) as here:
        yield here


def loads_of(machines: list[dict[str, float]], **kwargs) -> tuple[int, int]:
    """Workers and threads of each on machines of some cores and memory."""
    share = OnRay(**kwargs)._share(machines)
    return share.jobs, share.threads


@pytest.mark.parametrize(
    ("text", "address"), [("ray", None), ("ray://head:10001", "ray://head:10001"), (" ray ", None)]
)
def test_where_jobs_are_done_is_ray_or_an_address(text, address):
    assert parse_on(text) == address


@pytest.mark.parametrize("text", ["", "slurm", "ray:", "ray://", "ray://head", "ray://:10001", "head:6379"])
def test_another_place_is_refused(text):
    with pytest.raises(UsageError, match="expected ray or ray://HOST:PORT"):
        parse_on(text)


def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("hilum.executors.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        OnRay()
    assert str(caught.value) == "Ray is not installed. Run: pip install 'hilum[ray]'"


@needs_ray
@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, (6, 1)),  # 4 cores, and 6 GB of the 16 cores' 20
        ({"jobs": 1}, (1, 4)),
        ({"jobs": 6}, (6, 3)),
        ({"jobs": 40}, (40, 1)),
        ({"most": 2}, (2, 4)),
        ({"limits": Limits(memory=GIB)}, (10, 1)),
        ({"jobs": 3, "limits": Limits(memory=4 * GIB)}, (3, 2)),  # two on the first, one on the second
    ],
)
def test_workers_and_threads_follow_from_cores_and_memory_of_all_machines(kwargs, expected):
    machines = [{"CPU": 4.0, "memory": 20.0 * GIB}, {"CPU": 16.0, "memory": 6.0 * GIB}, {"GPU": 1.0}]
    assert loads_of(machines, **kwargs) == expected


@needs_ray
@pytest.mark.slow
def test_each_job_costs_only_itself_as_in_processes_of_this_machine(cluster):
    words = ["a", "crash", "exit", "refuse", "bug", "odd", "lambda", "hang", "b", "threads"]
    said: list[str] = []
    ended = {
        one.job: one for one in OnRay(jobs=2, limits=Limits(time_s=10.0), notify=said.append).run(do, words)
    }
    assert set(ended) == set(words)
    assert said == ["Ray, 1 machine: 2 scans at a time, 1 thread each, at most 10 s each."]
    assert {word for word in words if ended[word].lost} == {"crash", "exit", "hang"}
    assert all(isinstance(ended[word].error, ResourceError) for word in ("crash", "exit", "hang"))
    assert "SIGSEGV" in ended["crash"].error.message
    assert ended["hang"].error.message == "The scan took longer than 10 s."
    assert isinstance(ended["refuse"].error, InputError)
    assert ended["refuse"].error.hint == "Try another."
    assert all(isinstance(ended[word].error, InternalError) for word in ("bug", "odd", "lambda"))
    assert [ended[word].value[0] for word in "ab"] == ["A", "B"]
    assert ended["threads"].value == (1, "1")


@needs_ray
@pytest.mark.slow
def test_workers_are_used_again_and_jobs_are_asked_for_when_they_can_be_begun(cluster):
    asked = []

    def jobs() -> Iterator[str]:
        for number in range(30):
            asked.append(number)
            yield str(number)

    processes = set()
    for count, one in enumerate(OnRay(jobs=2).run(do, jobs()), 1):
        processes.add(one.value[1])
        assert len(asked) <= count + 2
    assert len(asked) == 30
    assert len(processes) <= 2
    assert os.getpid() not in processes


@needs_ray
@pytest.mark.slow
def test_too_much_memory_ends_the_job(cluster):
    (ended,) = OnRay(jobs=1, limits=Limits(memory=GIB // 2)).run(do, ["grow"])
    assert ended.error.message == "The scan took more than 0.5 GB of memory."


@needs_ray
@pytest.mark.slow
def test_closing_the_iterator_ends_the_processes_and_not_the_cluster_of_the_program(cluster):
    running = OnRay(jobs=2).run(do, ["a", "hang", "hang"])
    assert next(running).job == "a"
    working = [child for child in psutil.Process().children(recursive=True) if works(child)]
    assert working
    running.close()
    _, alive = psutil.wait_procs(working, timeout=60)
    assert alive == []
    assert cluster.ray.is_initialized()


def works(process: psutil.Process) -> bool:
    """Whether it is a process that does jobs for a worker."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@needs_ray
@pytest.mark.slow
def test_a_cluster_with_another_version_or_without_the_folders_is_refused(cluster, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("hilum.executors.ray.__version__", "9.9")
        with pytest.raises(UsageError, match=r"The cluster has hilum .*, this program is 9\.9"):
            list(OnRay(jobs=1).run(do, ["a"]))
    out = tmp_path / "new" / "out"
    assert [one.error for one in OnRay(jobs=1, shared=out).run(do, ["a"])] == [None]
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "cwd", lambda: tmp_path / "nowhere")
        with pytest.raises(UsageError, match=r"does not have the folder .*nowhere"):
            list(OnRay(jobs=1).run(do, ["a"]))


@needs_ray
@pytest.mark.slow
def test_work_that_the_machines_cannot_import_is_said_in_a_sentence(cluster, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(job):\n    return job\n")
    monkeypatch.syspath_prepend(tmp_path)
    from only_here import work  # type: ignore[import-not-found]

    monkeypatch.setattr(sys, "path", sys.path[1:])
    with pytest.raises(UsageError, match=r"No worker of Ray can start: .*only_here"):
        list(OnRay(jobs=1).run(work, ["a"]))


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the sockets of all processes")
def test_a_cluster_of_our_own_listens_and_speaks_on_this_machine_only(cluster):
    addresses = set()
    for process in psutil.Process().children(recursive=True):
        try:
            sockets = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        for socket in sockets:
            addresses |= {place.ip for place in (socket.laddr, socket.raddr) if place}
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
