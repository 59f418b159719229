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
    "ResourceError": "hilum.errors",
    "Result": "hilum.result",
    "Segmentation": "hilum.segmentation.base",
    "Severity": "hilum.quality.flags",
    "UsageError": "hilum.errors",
    "Volume": "hilum.volume",
    "check": "hilum.api",
    "compare": "hilum.evaluation.compare",
    "evaluate": "hilum.evaluation.evaluate",
    "explore": "hilum.learn.explore",
    "inspect": "hilum.api",
    "measure": "hilum.api",
    "phantom": "hilum.api",
    "prepare": "hilum.learn.prepare",
    "read": "hilum.io",
    "segment": "hilum.api",
    "train": "hilum.learn.fit",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:  # for type checkers and editors; at run time names load on first use
    from hilum.api import check as check
    from hilum.api import inspect as inspect
    from hilum.api import measure as measure
    from hilum.api import phantom as phantom
    from hilum.api import segment as segment
    from hilum.errors import GeometryError as GeometryError
    from hilum.errors import HilumError as HilumError
    from hilum.errors import InputError as InputError
    from hilum.errors import ModelError as ModelError
    from hilum.errors import NotAChestError as NotAChestError
    from hilum.errors import OutputError as OutputError
    from hilum.errors import ResourceError as ResourceError
    from hilum.errors import UsageError as UsageError
    from hilum.evaluation.compare import compare as compare
    from hilum.evaluation.evaluate import evaluate as evaluate
    from hilum.io import read as read
    from hilum.labels import Lung as Lung
    from hilum.learn.explore import explore as explore
    from hilum.learn.fit import train as train
    from hilum.learn.prepare import prepare as prepare
    from hilum.quality.flags import Flag as Flag
    from hilum.quality.flags import Severity as Severity
    from hilum.result import Result as Result
    from hilum.segmentation.base import Segmentation as Segmentation
    from hilum.volume import Volume as Volume


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
