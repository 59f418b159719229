"""Aeration compartments as a report names and colours them."""

from __future__ import annotations

from typing import NamedTuple

from hilum.measures.registry import AERATION

__all__ = ["COMPARTMENTS", "Compartment"]


class Compartment(NamedTuple):
    """An aeration compartment."""

    id: str
    title: str
    low: int
    high: int
    colour: str


#: Aeration compartments: measure id, name, lower and upper HU (half-open), colour. One hue from light (much
#: air) to dark (none), so that the order also shows in grey and to the colour-blind.
COMPARTMENTS: tuple[Compartment, ...] = (
    Compartment("aeration_hyper", "Hyperaerated", *AERATION["hyper"], "#d7ece8"),
    Compartment("aeration_normal", "Normally aerated", *AERATION["normal"], "#86c2b8"),
    Compartment("aeration_poor", "Poorly aerated", *AERATION["poor"], "#3d8590"),
    Compartment("aeration_non", "Non-aerated", *AERATION["non"], "#17404f"),
)
