"""Files in, files out: readers that end in a :class:`hilum.volume.Volume`, and atomic writers.

Names load on first use, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "LabelFormat": "hilum.io.write",
    "OutputFolder": "hilum.io.atomic",
    "Plane": "hilum.io.tiff",
    "atomic_file": "hilum.io.atomic",
    "read": "hilum.io.dispatch",
    "read_labels": "hilum.io.masks",
    "scan_name": "hilum.io.names",
    "write_csv": "hilum.io.write",
    "write_hu_tiff": "hilum.io.tiff",
    "write_json": "hilum.io.write",
    "write_labels": "hilum.io.write",
    "write_text": "hilum.io.write",
    "write_volume": "hilum.io.write",
}

__all__ = [
    "LabelFormat",
    "OutputFolder",
    "Plane",
    "atomic_file",
    "read",
    "read_labels",
    "scan_name",
    "write_csv",
    "write_hu_tiff",
    "write_json",
    "write_labels",
    "write_text",
    "write_volume",
]

if TYPE_CHECKING:
    from hilum.io.atomic import OutputFolder, atomic_file
    from hilum.io.dispatch import read
    from hilum.io.masks import read_labels
    from hilum.io.names import scan_name
    from hilum.io.tiff import Plane, write_hu_tiff
    from hilum.io.write import LabelFormat, write_csv, write_json, write_labels, write_text, write_volume


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum.io' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
