"""How far many scans are: one bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hilum.cli.console import on_terminal, plain, say

if TYPE_CHECKING:
    from hilum.batch import Counts
    from hilum.core.segmentation import Progress

__all__ = ["BatchBar", "words"]

#: Seconds between two lines where no terminal shows a bar.
EVERY_S = 30.0
_TITLE = "segment"
_WIDTH = 20  # characters of the bar, so that its words fit into 80 columns


def words(counts: Counts, seconds: float) -> str:
    """Return how far a batch is after some seconds of work, such as ``37 of 300 scans, 2 failed``."""
    parts = [f"{counts.ended} of {counts.total} scans"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    fresh = counts.measured + counts.failed  # what was done before took no time
    if fresh and seconds > 0:
        parts.append(f"{fresh / seconds * 3600:.0f} an hour")
        left = ((counts.total or 0) - counts.ended) * seconds / fresh
        if left > 0:
            parts.append(f"{_duration(left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class BatchBar:
    """Shows the counts of a batch while it runs.

    Args:
        counts: Those of the batch; they are looked at again and again.
        quiet: Show nothing.
        every_s: Seconds between two lines.
    """

    def __init__(self, counts: Counts, *, quiet: bool, every_s: float = EVERY_S) -> None:
        self._counts, self._every_s = counts, every_s
        self._shown = not quiet
        self._bar: Any = None
        self._row: Any = None
        self._begin = time.monotonic()
        self._end = threading.Event()

    def __enter__(self) -> BatchBar:
        if self._shown and on_terminal(sys.stderr):
            self._bar = _rich_bar()
            self._row = self._bar.add_task(_TITLE, total=None, what="")
            self._bar.start()
        elif self._shown:
            threading.Thread(target=self._tell, daemon=True, name="progress").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._bar is not None:
            self._bar.stop()

    def _tell(self) -> None:
        while not self._end.wait(self._every_s):
            if (self._counts.total or 0) > 1:
                say(words(self._counts, time.monotonic() - self._begin), to_stderr=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar away while lines are printed, and bring it back as it is then."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._update(0.0, "")
            self._bar.start()

    @contextmanager
    def scan(self, name: str) -> Iterator[Progress | None]:
        """Give a progress callback for the scan of a name."""
        if self._bar is None:
            yield None
            return
        self._bar.update(self._row, description=plain(name))
        yield self._update
        self._bar.update(self._row, description=_TITLE)
        self._update(0.0, "")

    def _update(self, fraction: float, what: str) -> None:
        counts = self._counts
        if counts.total is not None and counts.total > 1:
            what = words(counts, time.monotonic() - self._begin)
            fraction += counts.ended
        self._bar.update(self._row, total=counts.total, completed=fraction, what=plain(what))


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(_WIDTH),
        TextColumn("{task.fields[what]}", markup=False),
        TimeElapsedColumn(),
    )
    # Lines of results go to where stdout and stderr lead; the bar is taken away for them.
    return Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    )
