"""Memory of the program, and jobs a second, while very many made-up jobs are done on Ray in this machine.

    python benchmarks/ray_memory.py [--jobs 100000] [--workers 2]

Prints a line at each twentieth of the jobs, and writes ``benchmarks/out/ray_memory.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests")]

from hilum.executors import OnRay  # noqa: E402
from support.work import measured  # noqa: E402

_MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    begin, asked, most, rows = time.perf_counter(), 0, 0, []

    def jobs():
        nonlocal asked
        for number in range(given.jobs):
            asked += 1
            yield number

    me, step = psutil.Process(), max(1, given.jobs // 20)
    for count, ended in enumerate(OnRay(jobs=given.workers).run(measured, jobs()), 1):
        if ended.error is not None:
            raise ended.error
        most = max(most, asked - count)
        if count % step == 0 or count == 1:
            seconds = time.perf_counter() - begin
            rows.append({"jobs": count, "seconds": round(seconds, 1), "mb": me.memory_info().rss / _MB})
            print(f"{count:>7} jobs  {seconds:7.1f} s  {rows[-1]['mb']:7.1f} MB", flush=True)
    print(f"At most {most} jobs were begun and not ended.")
    out = HERE / "out" / "ray_memory.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"rows": rows, "most_at_a_time": most}, indent=1))


if __name__ == "__main__":
    main()
