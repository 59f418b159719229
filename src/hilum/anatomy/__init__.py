"""Anatomy of the chest without learned weights: body, central airways, sides, lungs by threshold."""

from hilum.anatomy.model import Classic

__all__ = ["Classic"]
