"""The quality gate: what can be trusted in a scan and its lungs, and why not.

Names load on first use, so that importing a flag loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "CODES": "hilum.quality.codes",
    "Calibration": "hilum.quality.hu_scale",
    "Flag": "hilum.quality.flags",
    "FlagInfo": "hilum.quality.codes",
    "ReferencePoint": "hilum.quality.hu_scale",
    "Severity": "hilum.quality.flags",
    "calibration": "hilum.quality.hu_scale",
    "check_segmentation": "hilum.quality.gate",
    "check_volume": "hilum.quality.gate",
    "correct_calibration": "hilum.quality.correct",
    "worst": "hilum.quality.flags",
}

__all__ = [
    "CODES",
    "Calibration",
    "Flag",
    "FlagInfo",
    "ReferencePoint",
    "Severity",
    "calibration",
    "check_segmentation",
    "check_volume",
    "correct_calibration",
    "worst",
]

if TYPE_CHECKING:
    from hilum.quality.codes import CODES, FlagInfo
    from hilum.quality.correct import correct_calibration
    from hilum.quality.flags import Flag, Severity, worst
    from hilum.quality.gate import check_segmentation, check_volume
    from hilum.quality.hu_scale import Calibration, ReferencePoint, calibration


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum.quality' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
