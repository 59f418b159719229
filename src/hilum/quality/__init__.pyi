from .correct import correct_calibration as correct_calibration
from .gate import check_segmentation as check_segmentation
from .gate import check_volume as check_volume
from .hu_scale import Calibration as Calibration
from .hu_scale import ReferencePoint as ReferencePoint
from .hu_scale import calibration as calibration

__all__ = [
    "Calibration",
    "ReferencePoint",
    "calibration",
    "check_segmentation",
    "check_volume",
    "correct_calibration",
]
