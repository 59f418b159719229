"""What the verbs return: plain objects, nothing written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hilum.core.flags import Flag
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume

if TYPE_CHECKING:
    from hilum.measures import Measures

__all__ = ["Result", "RunInfo"]


@dataclass(frozen=True)
class RunInfo:
    """How a result came to be; written to ``run.json``.

    Attributes:
        hilum: Version of hilum.
        started: Start, ISO 8601 in UTC.
        arguments: Arguments of the verb as plain data.
        model: Name, version and SHA-256 of the model; empty where labels were given.
        timings_s: Seconds a stage, in order of the stages.
        platform: Python version, operating system, versions of the libraries that move numbers.
        fingerprint: SHA-256 of the scan as it was read; see :meth:`hilum.Volume.fingerprint`.
    """

    hilum: str
    started: str
    arguments: dict[str, object] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    platform: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """Lungs, measures and quality of one scan.

    Attributes:
        volume: The scan as it was read (native grid, HU as measured on).
        segmentation: Lung labels on the same grid.
        measures: The measures by region, with units, formulae and reasons where a value is unknown.
        flags: All findings of the quality gate, worst first.
        run: Provenance.
    """

    volume: Volume
    segmentation: Segmentation
    measures: Measures
    flags: tuple[Flag, ...]
    run: RunInfo
