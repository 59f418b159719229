"""A digital chest with exact truth: lungs, trees and injuries as continuous geometry, rendered as a CT."""

from hilum.phantoms.chest import Phantom, make_phantom
from hilum.phantoms.injury import Injury
from hilum.phantoms.kernel import Kernel
from hilum.phantoms.lung import Tissue
from hilum.phantoms.trees import Branch, Kind
from hilum.phantoms.truth import RegionTruth, Truth

__all__ = [
    "Branch",
    "Injury",
    "Kernel",
    "Kind",
    "Phantom",
    "RegionTruth",
    "Tissue",
    "Truth",
    "make_phantom",
]
