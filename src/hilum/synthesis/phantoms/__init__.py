"""A digital chest with exact truth: lungs, trees and injuries as continuous geometry, rendered as a CT."""

from hilum.synthesis.phantoms.anatomy import Lobe
from hilum.synthesis.phantoms.chest import Phantom, make_phantom
from hilum.synthesis.phantoms.findings import AirwayFinding
from hilum.synthesis.phantoms.kernel import Kernel
from hilum.synthesis.phantoms.lung import Tissue
from hilum.synthesis.phantoms.maps import Airway, TreeTruth, Vessel
from hilum.synthesis.phantoms.trees import Branch, Detail, Kind
from hilum.synthesis.phantoms.truth import RegionTruth, Truth

__all__ = [
    "Airway",
    "AirwayFinding",
    "Branch",
    "Detail",
    "Kernel",
    "Kind",
    "Lobe",
    "Phantom",
    "RegionTruth",
    "Tissue",
    "TreeTruth",
    "Truth",
    "Vessel",
    "make_phantom",
]
