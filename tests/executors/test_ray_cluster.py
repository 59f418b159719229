"""Jobs on several machines: one is lost in the middle, and nothing is missing."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

import hilum
from hilum.executors import OnRay
from hilum.executors.ray_cluster import _import_ray
from hilum.io import write_volume
from support.plain_chest import build_chest
from support.work import do, slowly

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]


@pytest.fixture
def two_machines(monkeypatch, free_port):
    """A cluster of two nodes with a core each; the second may be removed."""
    _import_ray("a cluster")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": free_port},
    )
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster, second
    cluster.shutdown()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_jobs_of_a_machine_that_is_lost_are_done_elsewhere(two_machines):
    cluster, second = two_machines
    words, ended = [f"nap{number}" for number in range(24)], []
    for one in OnRay(jobs=2).run(do, words):
        ended.append(one)
        if len(ended) == 8:
            cluster.remove_node(second, allow_graceful=False)
    assert sorted(one.job for one in ended) == sorted(words)
    assert [one.value[0] for one in ended] == [one.job.upper() for one in ended]
    assert 1 <= sum(one.lost for one in ended) <= 2


def test_a_job_that_takes_its_worker_with_it_is_given_up_at_last(two_machines):
    ended = {one.job: one for one in OnRay(jobs=2).run(do, ["a", "parent", "b"])}
    assert ended["parent"].error.message == "The worker of the scan, or its machine, was lost 3 times."
    assert ended["parent"].error.exit_code == 7
    assert ended["parent"].lost
    assert [ended[word].value[0] for word in "ab"] == ["A", "B"]


def test_a_cluster_is_reached_by_its_address(two_machines, free_port, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS")
    said: list[str] = []
    ended = list(OnRay(f"ray://127.0.0.1:{free_port}", notify=said.append, most=4).run(do, "abcd"))
    assert sorted(one.value[0] for one in ended) == list("ABCD")
    assert said == ["Ray, 2 machines: 2 scans at a time, 1 thread each."]
    assert os.getpid() not in {one.value[1] for one in ended}


def test_a_batch_that_loses_a_machine_ends_with_the_bytes_of_one_without_ray(two_machines, tmp_path):
    cluster, second = two_machines
    chest = build_chest(spacing=(6.0, 6.0, 8.0)).volume
    for number in range(12):
        hu = chest.hu + chest.hu.dtype.type(number)
        write_volume(tmp_path / "in" / f"s{number:02d}.nii.gz", hilum.Volume(hu, chest.affine))
    quick = {"model": "classic", "report": False}
    for outcome in hilum.run_batch(tmp_path / "in", tmp_path / "here", **quick):
        assert outcome.error is None
    batch = hilum.run_batch(tmp_path / "in", tmp_path / "ray", on="ray", jobs=2, work=slowly, **quick)
    for count, outcome in enumerate(batch, 1):
        assert outcome.error is None
        if count == 3:
            cluster.remove_node(second, allow_graceful=False)
    assert (batch.counts.ended, batch.counts.failed) == (12, 0)
    assert bytes_below(tmp_path / "ray") == bytes_below(tmp_path / "here")
    assert not list((tmp_path / "ray").rglob(".hilum-*"))
    again = hilum.run_batch(tmp_path / "in", tmp_path / "ray", resume=True, **quick)
    assert all(outcome.before for outcome in again)


def test_scans_and_results_at_urls_need_no_folder_that_all_machines_see(two_machines, tmp_path, monkeypatch):
    cluster, second = two_machines
    chest = build_chest(spacing=(6.0, 6.0, 8.0)).volume
    for number in range(12):
        hu = chest.hu + chest.hu.dtype.type(number)
        write_volume(tmp_path / "in" / f"s{number:02d}.nii.gz", hilum.Volume(hu, chest.affine))
    quick = {"model": "classic", "report": False}
    url = f"file://{tmp_path.as_posix()}"
    for outcome in hilum.run_batch(tmp_path / "in", tmp_path / "here", **quick):
        assert outcome.error is None
    monkeypatch.setattr("hilum.executors.ray.Path.cwd", lambda: tmp_path / "of this machine alone")
    batch = hilum.run_batch(f"{url}/in", f"{url}/away", on="ray", jobs=2, **quick)
    for count, outcome in enumerate(batch, 1):
        assert outcome.error is None
        if count == 3:
            cluster.remove_node(second, allow_graceful=False)
    assert (batch.counts.ended, batch.counts.failed) == (12, 0)
    assert bytes_below(tmp_path / "away") == bytes_below(tmp_path / "here")
    assert not list((tmp_path / "away").rglob(".hilum-*"))


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Return the masks and measures of all scans; run.json and the tables hold times."""
    files = [file for file in folder.glob("s*/*") if file.name != "run.json"]
    assert len(files) == 12 * 4
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
