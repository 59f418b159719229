"""Chest CT in; lungs in litres, grams and millilitres of air out.

Importing this package loads no heavy library: names are resolved when they are first used.

Examples:
    >>> import hilum
    >>> scan = hilum.phantom(seed=1, spacing=(3.0, 3.0, 3.0))
    >>> result = hilum.segment(scan.volume)
    >>> result.measures["lungs"]["volume"].unit
    'mL'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Flag": "hilum.quality.flags",
    "GeometryError": "hilum.errors",
    "HilumError": "hilum.errors",
    "InputError": "hilum.errors",
    "Lung": "hilum.labels",
    "ModelError": "hilum.errors",
    "NotAChestError": "hilum.errors",
    "OutputError": "hilum.errors",
    "Result": "hilum.result",
    "Segmentation": "hilum.segmentation.base",
    "Severity": "hilum.quality.flags",
    "UsageError": "hilum.errors",
    "Volume": "hilum.volume",
    "check": "hilum.api",
    "inspect": "hilum.api",
    "measure": "hilum.api",
    "phantom": "hilum.api",
    "read": "hilum.io",
    "segment": "hilum.api",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:  # for type checkers and editors; at run time names load on first use
    from hilum.api import check, inspect, measure, phantom, segment
    from hilum.errors import (
        GeometryError,
        HilumError,
        InputError,
        ModelError,
        NotAChestError,
        OutputError,
        UsageError,
    )
    from hilum.io import read
    from hilum.labels import Lung
    from hilum.quality.flags import Flag, Severity
    from hilum.result import Result
    from hilum.segmentation.base import Segmentation
    from hilum.volume import Volume


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
