"""Times of ``index.html`` in headless Chromium: load, sort, filter, against a page without scans.

The columns are those of all tasks on a digital chest, the rows are made up. Each time is the median of
several loads, within the page (``performance.now``), and is printed as a ratio to the load of a page without
scans, since seconds depend on the machine.

    python benchmarks/index_page.py [--scans 300,5000] [--repeat 5] [--results FOLDER] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import http.server
import json
import queue
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
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
STEPS = """<script>(function drive() {
if (document.body.dataset.ready === undefined) { setTimeout(drive, 1); return; }
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
fetch("/", { method: "POST", body: JSON.stringify(out) });
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


class Server(http.server.ThreadingHTTPServer):
    """Serves one page to a browser on this machine, and takes the times that the page sends back."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = b""
        self.found: queue.Queue[dict[str, float]] = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def times(self, profile: Path) -> dict[str, float]:
        """Load the page once and return milliseconds."""
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1366,768"]
        address = f"http://127.0.0.1:{self.server_port}/"
        # With a port for a debugger the browser stays until it is told to go.
        own = [f"--user-data-dir={profile}", "--remote-debugging-port=0", address]
        with subprocess.Popen([BROWSER, *flags, *own], stderr=subprocess.DEVNULL) as browser:
            try:
                return self.found.get(timeout=300)
            finally:
                browser.terminate()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(self.server.page if self.path == "/" else b"")

    def do_POST(self) -> None:
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


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
        server = Server()
        found: dict[int, dict[str, float]] = {}
        columns = all_columns(options.results)
        print(f"{len(columns)} columns", flush=True)
        for count in (0, *map(int, options.scans.split(","))):
            text = render_index(made_up(count, columns), Path("/none"))
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{count}.html").write_text(text, "utf-8")
            bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
            server.page = bare.replace("</body>", STEPS).encode()
            runs = [server.times(Path(folder) / "profile") for _ in range(options.repeat)]
            found[count] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            empty = found[0]["load"]
            ratios = ", ".join(f"{key} {value / empty:.2f}" for key, value in found[count].items())
            print(
                f"{count} scans, {len(text) / 1e6:.2f} MB: {ratios} of the load of an empty page", flush=True
            )


if __name__ == "__main__":
    main()
