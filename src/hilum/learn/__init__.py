"""Data sets of slices, the study of intensities, and training; the only package that may import torch.

Names load on first use, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Dataset": "hilum.learn.dataset_index",
    "SliceRecord": "hilum.learn.dataset_index",
    "SubjectRecord": "hilum.learn.dataset_index",
    "explore": "hilum.learn.explore",
    "find_pairs": "hilum.learn.pairs",
    "load_dataset": "hilum.learn.dataset_index",
    "load_index": "hilum.learn.dataset_index",
    "prepare": "hilum.learn.prepare",
}

__all__ = [
    "Dataset",
    "SliceRecord",
    "SubjectRecord",
    "find_pairs",
    "load_dataset",
    "load_index",
]

if TYPE_CHECKING:
    from hilum.learn.dataset_index import Dataset, SliceRecord, SubjectRecord, load_dataset, load_index
    from hilum.learn.pairs import find_pairs


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum.learn' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
