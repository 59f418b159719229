"""Pathologies that can be synthesised: one list for phantoms and for lesions in real lungs."""

from __future__ import annotations

from enum import Enum

__all__ = ["Pathology"]


class Pathology(str, Enum):
    """A pathology that can be synthesised; each of the two back ends lists those that it supports.

    :data:`hilum.synthesis.phantoms.injury.IN_PHANTOMS` are painted into digital chests with exact truth,
    :data:`hilum.synthesis.lesions.kinds.RECIPES` into the real lungs of a scan.
    """

    GROUND_GLASS = "ground_glass"
    CRAZY_PAVING = "crazy_paving"
    CONSOLIDATION = "consolidation"
    ATELECTASIS = "atelectasis"
    OEDEMA = "oedema"
    FIBROSIS = "fibrosis"
    EMPHYSEMA = "emphysema"
    NODULE = "nodule"
    """Round lesions of 6 to 24 mm."""
    MASS = "mass"
    """Round lesions of 10 to 100 mm with a rough outline."""
    EFFUSION = "effusion"
    PNEUMOTHORAX = "pneumothorax"
    WHITE_OUT = "white_out"
    """A whole lung without air."""
