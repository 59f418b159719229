"""Every kind of input, broken on purpose: does the reading layer refuse in one sentence, and nothing else?

Small sound inputs are changed by seeded mutations (bits, lengths, fields of headers, nodes of trees) and read
in forked processes that may take 2 GB and 20 s of processor time. Prints a line a family, and writes each
input that did not end well, with what happened, into a folder from which it can be replayed.

    python benchmarks/fuzz.py --cases 10000 --seed 0 [--family text] [--workers 2] [--out benchmarks/out/fuzz]
    python benchmarks/fuzz.py --replay benchmarks/out/fuzz/other-exception/text-run-0-17
    python benchmarks/fuzz.py --number 17 --family text --seed 0      # one case by its number, kept in --out

Refused and accepted are both good: whether accepted values are right is not checked here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(_threads, "1")  # before the libraries load: threads and forking do not mix

from fuzzing.pool import CLASSES, Outcome, run_case, run_cases, save  # noqa: E402
from fuzzing.seeds import FAMILIES, make_seeds  # noqa: E402

OUT = Path(__file__).parent / "out" / "fuzz"


def seeds_in(folder: Path) -> list[str]:
    """Make the sound inputs in a forked process, because encoders start threads; return what is missing."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        code = 1
        try:
            os.write(writer, json.dumps(make_seeds(folder)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    if os.waitpid(pid, 0)[1] or not said:
        raise SystemExit("The sound inputs could not be made.")
    missing: list[str] = json.loads(said)
    return missing


def plan(families: list[str], cases: int) -> list[tuple[str, int]]:
    """Spread the cases over the families, one after the other."""
    return [(families[n % len(families)], n // len(families)) for n in range(cases)]


def fuzz(
    families: list[str], cases: list[tuple[str, int]], seed: int, workers: int, out: Path | None
) -> list[Outcome]:
    """Run cases; write those that failed below ``out``."""
    outcomes: list[Outcome] = []

    def found(outcome: Outcome, folder: Path) -> None:
        outcomes.append(outcome)
        if outcome.failed and out is not None:
            place = save(outcome, folder, out, seed)
            print(
                f"{outcome.result}: {place.name}: {outcome.said[:160]} {' '.join(outcome.left)}", flush=True
            )

    with tempfile.TemporaryDirectory(prefix="hilum-seeds-") as seeds:
        missing = seeds_in(Path(seeds))
        if missing:
            print(f"not made here: {', '.join(missing)}")
        run_cases(Path(seeds), [case for case in cases if case[0] in families], seed, workers, found)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """One line a family, and one for all."""
    head = ("family", "tried", *CLASSES, "refused, with library lines")
    rows = [head]
    for family in (*FAMILIES, "all"):
        own = [o for o in outcomes if family in (o.family, "all")]
        if not own:
            continue
        counts = Counter(o.result for o in own)
        left = sum(bool(o.left) for o in own)
        noisy = sum(o.result == "refused" and bool(o.lines) for o in own)
        rows.append((family, str(len(own)), *(str(counts[c]) for c in CLASSES[:-1]), str(left), str(noisy)))
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def replay(place: Path) -> int:
    """Read a kept input again in this process, so that a debugger sees it."""
    folder = next((p for p in (place, *place.parents) if (p / ".kind").is_file()), None)
    if folder is None:
        raise SystemExit(f"{place} is not an input that was kept: it has no .kind file.")
    outcome = Outcome("", 0)
    run_case(outcome, folder)
    print(f"{outcome.result}: {outcome.said}")
    return int(outcome.failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--number", type=int, help="run one case of a family by its number")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--replay", type=Path, help="folder of an input that was kept")
    parser.add_argument("--json", type=Path, help="write the outcome of each case into this file")
    given = parser.parse_args()
    if given.replay is not None:
        return replay(given.replay)
    families = given.family or list(FAMILIES)
    cases = plan(families, given.cases) if given.number is None else [(families[0], given.number)]
    began = time.monotonic()
    outcomes = fuzz(families, cases, given.seed, given.workers, given.out)
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes]), "utf-8")
    print(table(outcomes))
    causes = Counter(
        (o.family, o.said.split(":")[0] if o.result != "hang" else "hang") for o in outcomes if o.failed
    )
    for (family, cause), count in causes.most_common():
        print(f"  {count} x {family}: {cause}")
    print(f"seed {given.seed}, {time.monotonic() - began:.0f} s, {given.workers} workers")
    return int(any(o.failed for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
