"""Where the scans of a batch are done: in this process, in several, or on a cluster; and which of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.core.errors import UsageError
from hilum.core.sentences import Sentence
from hilum.executors import Executor, Here, Limits, OnRay, Pool, parse_jobs, parse_on, share_out
from hilum.io.sources import Source

__all__ = ["Spread", "choose_executor", "parse_jobs", "parse_part"]


@dataclass(frozen=True)
class Spread:
    """How the scans of a batch are spread.

    Attributes:
        jobs: Scans at a time; None for as many as there is room for.
        limits: What each may take.
        on: As in :func:`hilum.run_batch`.
        device: As in :func:`hilum.segment`.
        out: Folder of the results; None where nothing is written, or to a URL.

    Raises:
        MissingExtraError: Ray is asked for and not installed.
        UsageError: A number is not positive, or ``on`` is not a place.
    """

    jobs: int | None
    limits: Limits
    on: str | None
    device: str
    out: Path | None

    def __post_init__(self) -> None:
        if self.on is not None:  # before the scans are looked for
            OnRay(parse_on(self.on), jobs=self.jobs, limits=self.limits)


def choose_executor(spread: Spread, known: Sequence[Source], notify: Callable[[str], None]) -> Executor:
    """Choose where scans are done.

    Args:
        spread: How they shall be spread.
        known: The scans, where a zip counts as one.
        notify: Called with one sentence on how the work is shared out.

    Raises:
        UsageError: There is not enough memory for the limits.
    """
    if spread.on is None and spread.jobs == 1 and spread.limits == Limits():
        return Here()
    jobs = 1 if spread.jobs is None and spread.device == "gpu" else spread.jobs  # they would share it
    most = None if any(source.path.suffix.lower() == ".zip" for source in known) else max(1, len(known))
    if spread.on is not None:
        return OnRay(
            parse_on(spread.on),
            jobs=jobs,
            limits=spread.limits,
            most=most,
            shared=spread.out,
            anywhere=spread.out is None and all(source.url for source in known),
            notify=notify,
        )
    share = share_out(jobs, spread.limits)
    if most is not None and most < share.jobs:
        share = share_out(most, spread.limits)
    if known:
        notify(share.described())
    return Pool(share)


def parse_part(text: str) -> tuple[int, int]:
    """Read which part of how many: ``3/50``.

    Raises:
        UsageError: It is not two numbers, or the first is not from 1 to the second.
    """
    number, slash, count = text.partition("/")
    if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise UsageError(Sentence("{option:part} is '{text}', expected such as 3/50.", text=text),
                     "The first number is from 1 to the second.")  # fmt: skip
