"""Lungs by classical image analysis."""

from hilum.segmentation.classic.model import Classic

__all__ = ["Classic"]
