"""Times of ``index.html`` in headless Chromium: load, sort, filter, against a page without scans.

The columns are those of all tasks on a digital chest, the rows are made up. Each time is the median of
several loads, within the page (``performance.now``), and is printed as a ratio to the load of a page without
scans, since seconds depend on the machine.

    python benchmarks/index_page.py [--scans 300,5000] [--repeat 5] [--results FOLDER] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import hilum
from hilum.tables import read_results
from hilum.tables.columns import Column, Kind
from hilum.tables.folders import ScanFolder
from hilum.tables.page import render_index
from hilum.tables.scans import FoundFlag, ScanTable
from hilum.tasks.registry import TASKS

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: Reading offsetHeight makes the browser lay the page out, so that style and layout are in the time.
STEPS = """<script>(() => {
const timed = (step) => {
  const start = performance.now();
  step();
  document.body.offsetHeight;
  return performance.now() - start;
};
document.body.offsetHeight;
const out = { load: performance.now() };
const press = () => document.querySelectorAll("thead button")[3].click();
const flag = document.getElementById("flag");
if (document.querySelectorAll("thead button").length > 3) {
  out.sort = timed(press);
  out.filter = timed(() => { flag.value = "0"; flag.dispatchEvent(new Event("change")); });
}
document.body.dataset.out = JSON.stringify(out);
})();</script></body>"""


def all_columns(results: Path | None) -> tuple[Column, ...]:
    """Return the columns of a folder of results; without one, those of all tasks on a digital chest."""
    if results is not None:
        return read_results(results).columns
    with tempfile.TemporaryDirectory() as folder:
        chest = hilum.phantom(seed=1, spacing=(1.5, 1.5, 1.5))
        hilum.segment(chest.volume, task=",".join(TASKS)).save(Path(folder) / "chest")
        return read_results(folder).columns


def made_up(count: int, columns: tuple[Column, ...]) -> ScanTable:
    """Return a table with these columns, of which the first is the name of the scan."""
    names = [f"site-{n % 20}/patient-{n}" for n in range(count)]
    values = {Kind.TEXT: lambda n, k: f"text {(n + k) % 5}", Kind.INTEGER: lambda n, k: (n + k) % 512,
              Kind.NUMBER: lambda n, k: (n * 7919 + k * 104729) % 99991 / 13}  # fmt: skip
    rows = tuple(
        (name, *(values[column.kind](n, k) for k, column in enumerate(columns[1:])))
        for n, name in enumerate(names)
    )
    flags = tuple(FoundFlag(name, "warning", "thick_slices", (), "") for name in names[::3])
    places = tuple(ScanFolder(name, Path("/none") / name, "results") for name in names)
    return ScanTable(columns, rows, places, flags)


def times(page: Path, profile: Path) -> dict[str, float]:
    """Load the page once and return milliseconds."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1366,768"]
    command = [BROWSER, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return json.loads(html.unescape(re.search(r'data-out="([^"]*)"', dom)[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", default="300,5000")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", type=Path, help="results whose columns are taken")
    parser.add_argument("--keep", type=Path, help="folder for the pages, to look at them")
    options = parser.parse_args()
    if BROWSER is None:
        raise SystemExit("Chromium is not installed.")
    with tempfile.TemporaryDirectory() as folder:
        found: dict[int, dict[str, float]] = {}
        columns = all_columns(options.results)
        print(f"{len(columns)} columns", flush=True)
        for count in (0, *map(int, options.scans.split(","))):
            text = render_index(made_up(count, columns), Path("/none"))
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{count}.html").write_text(text, "utf-8")
            page = Path(folder) / f"{count}.html"
            bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
            page.write_text(bare.replace("</body>", STEPS), "utf-8")
            runs = [times(page, Path(folder) / "profile") for _ in range(options.repeat)]
            found[count] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            empty = found[0]["load"]
            ratios = ", ".join(f"{key} {value / empty:.2f}" for key, value in found[count].items())
            print(
                f"{count} scans, {len(text) / 1e6:.2f} MB: {ratios} of the load of an empty page", flush=True
            )


if __name__ == "__main__":
    main()
