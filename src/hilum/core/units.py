"""Lengths and volumes as two types: in the patient, and in the magnified patient that rules work on.

A child's scan is magnified to an adult's size before rules that were chosen on adults are applied to it.
From there on a millimetre of the rules (:data:`WorkingMm`) is not one of the patient (:data:`TrueMm`).
Rules take working millimetres; amounts, landmarks and outputs take true ones. Both are floats when the
program runs; :class:`hilum.imaging.working.WorkingGrid` converts.
"""

from __future__ import annotations

from typing import NewType

__all__ = ["TrueMl", "TrueMm", "TrueSpacing", "WorkingMl", "WorkingMm", "WorkingSpacing"]

TrueMm = NewType("TrueMm", float)
WorkingMm = NewType("WorkingMm", float)
TrueMl = NewType("TrueMl", float)
WorkingMl = NewType("WorkingMl", float)

#: Distance of neighbouring voxels along x, y, z.
TrueSpacing = tuple[TrueMm, TrueMm, TrueMm]
WorkingSpacing = tuple[WorkingMm, WorkingMm, WorkingMm]
