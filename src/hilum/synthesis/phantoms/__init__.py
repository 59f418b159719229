"""A digital chest with exact truth: lungs, trees and injuries as continuous geometry, rendered as a CT."""

from hilum.synthesis.phantoms.chest import Phantom, make_phantom
from hilum.synthesis.phantoms.kernel import Kernel
from hilum.synthesis.phantoms.lung import Tissue
from hilum.synthesis.phantoms.trees import Branch, Kind
from hilum.synthesis.phantoms.truth import RegionTruth, Truth

__all__ = [
    "Branch",
    "Kernel",
    "Kind",
    "Phantom",
    "RegionTruth",
    "Tissue",
    "Truth",
    "make_phantom",
]
