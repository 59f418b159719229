"""All figures that the model card and the documentation quote, by one command.

Runs the benchmarks one after the other, each in a process of its own, and gathers what they write:
``FOLDER/NAME.json`` and what NAME printed as ``NAME.txt``, then all of them as ``card.json`` and as tables in
``card.md``. A benchmark that has been run with the same weights is kept, so that a run that was stopped
resumes; after a change of the code say --again. Benchmarks that lack something (real scans, lungmask) are
left out, and it is said why. All of them take hours on two cores.

    python benchmarks/card.py                              # all
    python benchmarks/card.py --only accuracy,lone_slices --again
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hilum
from accuracy import DATA
from hilum.tasks.registry import load_model

HERE = Path(__file__).parent
OUT = HERE / "out"


@dataclass(frozen=True)
class Benchmark:
    """A script of this folder.

    Attributes:
        script: Its name.
        arguments: Its arguments; ``{model}``, ``{data}`` and ``{work}`` are filled in.
        needs: What it cannot run without: ``data`` for the real scans, else the name of a module.
        written: The file that it writes into ``out``; by default the name of the script.
    """

    script: str
    arguments: tuple[str, ...] = ("--model", "{model}")
    needs: str = ""
    written: str = ""

    @property
    def result(self) -> Path:
        """What it writes."""
        return OUT / f"{self.written or self.script}.json"

    def command(self, model: str, work: Path) -> list[str]:
        """Return its words, without the interpreter."""
        words = [a.format(model=model, data=DATA, work=work) for a in self.arguments]
        return [str(HERE / f"{self.script}.py"), *words]

    def lacking(self) -> str:
        """Say what it lacks; empty if nothing."""
        if self.needs == "data":
            return "" if DATA.is_dir() else "the real scans are not here (set HILUM_DATA)"
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"{self.needs} is not installed (pip install {self.needs})"
        return ""


#: In the order of the card; the quick ones that say whether the rest is worth it come first.
BENCHMARKS = (
    Benchmark("accuracy"),
    Benchmark("lungs_real", needs="data"),
    Benchmark("speed", ("--model", "{model}", "--slices", "50,300,1000")),
    Benchmark("against_lungmask", (), needs="lungmask", written="lungmask"),
    Benchmark("lone_slices", needs="data"),
    Benchmark("injury", ("--models", "{model}"), needs="data"),
    Benchmark("confidence", (), needs="data"),
    Benchmark("robustness", needs="data"),
    Benchmark("edge_weight"),
    Benchmark("orientation", ("{data}", "--model", "{model}", "--work", "{work}"), needs="data"),
)


def run(benchmark: Benchmark, about: dict[str, str], folder: Path) -> bool:
    """Run one benchmark, store its result with what it was made by, and return whether that went well."""
    words = benchmark.command(about["model"], folder / f"work-{about['weights'][:8]}")
    print(f"$ python {shlex.join(words)}", flush=True)
    benchmark.result.unlink(missing_ok=True)
    begin = time.monotonic()
    with (folder / f"{benchmark.script}.txt").open("w", encoding="utf-8") as printed:
        code = subprocess.run([sys.executable, *words], check=False, stdout=printed).returncode
    minutes = round((time.monotonic() - begin) / 60, 1)
    if code or not benchmark.result.is_file():
        print(f"  failed with code {code}")
        return False
    print(f"  {minutes} minutes", flush=True)
    found = json.loads(benchmark.result.read_text("utf-8"))
    shown = [Path(words[0]).name, *words[1:]]
    kept = {**about, "command": shlex.join(shown), "minutes": minutes, "result": found}
    (folder / f"{benchmark.script}.json").write_text(json.dumps(kept, indent=1), "utf-8")
    return True


def stored(benchmark: Benchmark, folder: Path) -> dict[str, Any] | None:
    """Return the result of an earlier run; None if there is none."""
    file = folder / f"{benchmark.script}.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def number(value: object) -> str:
    """Write a value of a table: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else "unknown" if value is None else str(value)


def rows(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the rows of a table, (name, values): plain values of one object stand in one row."""
    items = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        if not any(isinstance(one, (dict, list)) for one in value):
            yield name, ", ".join(map(number, value))
            return
        items = [(str(place), one) for place, one in enumerate(value)]
    flat = [(key, one) for key, one in items if not isinstance(one, (dict, list))]
    if flat:
        yield name or "all", ", ".join(f"{key} {number(one)}" for key, one in flat)
    for key, one in items:
        if isinstance(one, (dict, list)):
            yield from rows(one, f"{name} · {key}" if name else str(key))


def tables(results: dict[str, dict[str, Any]], about: dict[str, str], lacking: dict[str, str]) -> str:
    """Return all results as Markdown."""
    lines = [f"# Figures of {about['model']} {about['version']}", ""]
    lines += [f"hilum {about['hilum']}, weights {about['weights'][:12]}.", ""]
    for name, kept in results.items():
        lines += [f"## {name}", "", f"    python benchmarks/{kept['command']}", ""]
        lines += [f"{kept['minutes']} minutes.", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {values} |" for key, values in rows(kept["result"])]
        lines.append("")
    if lacking:
        lines += ["## Left out", "", *(f"- {name}: {why}" for name, why in lacking.items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--only", default="", help="names, separated by commas; the tables hold all results")
    parser.add_argument("--again", action="store_true", help="also what has been run with these weights")
    parser.add_argument("--out", type=Path, default=OUT / "card")
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    unknown = sorted(set(only) - {benchmark.script for benchmark in BENCHMARKS})
    if unknown:
        parser.error(
            f"there is no benchmark {unknown[0]}; there are {', '.join(b.script for b in BENCHMARKS)}"
        )
    info = load_model(given.model).info
    about = {
        "hilum": hilum.__version__,
        "model": given.model,
        "version": info.version,
        "weights": info.sha256,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    lacking: dict[str, str] = {}
    results: dict[str, dict[str, Any]] = {}
    for benchmark in BENCHMARKS:
        before = stored(benchmark, given.out)
        same = before is not None and before["weights"] == about["weights"]
        if (not only or benchmark.script in only) and (given.again or not same):
            if why := benchmark.lacking():
                print(f"{benchmark.script} is left out: {why}")
                lacking[benchmark.script] = why
            elif run(benchmark, about, given.out):
                before, same = stored(benchmark, given.out), True
            else:
                lacking[benchmark.script] = "it failed"
        if before is not None and same:
            results[benchmark.script] = before
    text = json.dumps({**about, "results": results, "left_out": lacking}, indent=1)
    (given.out / "card.json").write_text(text, "utf-8")
    (given.out / "card.md").write_text(tables(results, about, lacking), "utf-8")
    print(f"{len(results)} of {len(BENCHMARKS)} benchmarks -> {given.out / 'card.md'}")
    if "it failed" in lacking.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
