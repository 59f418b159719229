"""Measures of the lungs: a registry of formulae, and their computation.

Pure arithmetic on arrays: nothing here reads a file or depends on a model.
"""

from __future__ import annotations

from hilum.measures.definition import Group, MeasureDef, MeasureInfo, measure_info
from hilum.measures.engine import compute
from hilum.measures.regions import LabelVoxels, Region, collect, regions_of
from hilum.measures.registry import AERATION, REGISTRY, describe
from hilum.measures.result import Measures, Value, formulae
from hilum.measures.sample import Sample

__all__ = [
    "AERATION",
    "REGISTRY",
    "Group",
    "LabelVoxels",
    "MeasureDef",
    "MeasureInfo",
    "Measures",
    "Region",
    "Sample",
    "Value",
    "collect",
    "compute",
    "describe",
    "formulae",
    "measure_info",
    "regions_of",
]
