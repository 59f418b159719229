"""A batch on a Ray cluster of two nodes, one of which is lost in the middle, beside the same without Ray.

Both nodes are made on this machine by ``ray.cluster_utils``, with a core each. After a third of the scans
(small digital chests) the second node is removed as if its plug had been pulled. Then all scans must have
their results, with the bytes that ``hilum segment`` without Ray writes (run.json without its times), and a
further run with ``resume`` must find nothing to do.

    pip install "hilum[ray]"
    python benchmarks/ray_lost_node.py [--scans 100]

Writes ``benchmarks/out/ray_lost_node.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import hilum

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from hilum.batch import Batch  # noqa: E402
from hilum.executors.ray_cluster import _import_ray  # noqa: E402
from kills import digest_results  # noqa: E402
from kills_batch import make_scans  # noqa: E402
from support.work import slowly  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=int, default=100)
    count = parser.parse_args().scans
    with tempfile.TemporaryDirectory() as name:
        found = compare(Path(name), count)
    print(json.dumps(found, indent=1))
    out = HERE / "out" / "ray_lost_node.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1), "utf-8")


def compare(folder: Path, count: int) -> dict[str, object]:
    """Do the scans without Ray, on two nodes of which one is lost, and once more."""
    make_scans(folder / "in", count)
    done(hilum.run_batch(folder / "in", folder / "alone", report=False))
    _import_ray("a cluster")  # without its dashboard and its usage report
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    begin, lost = time.perf_counter(), 0
    batch = hilum.run_batch(folder / "in", folder / "ray", on="ray", jobs=2, work=slowly, report=False)
    for number, outcome in enumerate(batch, 1):
        lost += outcome.error is not None
        if number == count // 3:
            cluster.remove_node(second, allow_graceful=False)
    seconds = time.perf_counter() - begin
    cluster.shutdown()
    again = done(hilum.run_batch(folder / "in", folder / "ray", resume=True, report=False))
    one, other = digest_results(folder / "alone"), digest_results(folder / "ray")
    return {
        "scans": count,
        "results": len(list((folder / "ray").rglob("run.json"))),
        "failed": lost,
        "other_bytes": sorted(key for key in {*one, *other} if one.get(key) != other.get(key)),
        "left": [path.name for path in (folder / "ray").rglob(".hilum-*")],
        "done_again": again.counts.measured,
        "seconds": round(seconds, 1),
    }


def done(batch: Batch) -> Batch:
    """Do all scans of a batch."""
    for outcome in batch:
        if outcome.error is not None:
            raise outcome.error
    return batch


if __name__ == "__main__":
    main()
