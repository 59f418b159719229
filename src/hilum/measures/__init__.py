"""Measures of the lungs: a registry of formulae, and the arithmetic that fills it.

Pure arithmetic on arrays: nothing here reads a file or knows a model.
"""

from __future__ import annotations

from hilum.measures.definition import Group, MeasureDef
from hilum.measures.engine import compute
from hilum.measures.regions import REGIONS, LungVoxels, Region, collect
from hilum.measures.registry import AERATION, REGISTRY, describe
from hilum.measures.result import COLUMNS, SCHEMA, Measures, Value
from hilum.measures.sample import Sample

__all__ = [
    "AERATION",
    "COLUMNS",
    "REGIONS",
    "REGISTRY",
    "SCHEMA",
    "Group",
    "LungVoxels",
    "MeasureDef",
    "Measures",
    "Region",
    "Sample",
    "Value",
    "collect",
    "compute",
    "describe",
]
