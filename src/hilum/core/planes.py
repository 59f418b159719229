"""The planes in which slices are cut."""

from __future__ import annotations

from enum import Enum

__all__ = ["Plane"]


class Plane(str, Enum):
    """Orientation of a slice, displayed in radiological convention."""

    AXIAL = "axial"
    """Rows grow to the back, columns to the patient's left."""
    CORONAL = "coronal"
    """Rows grow to the feet, columns to the patient's left."""
    SAGITTAL = "sagittal"
    """Rows grow to the feet, columns to the back."""
