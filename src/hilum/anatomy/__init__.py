"""The chest without learned weights: body, airways' trunk, sides, and lungs by thresholds."""

from hilum.anatomy.model import Classic

__all__ = ["Classic"]
