"""Synthetic injury: disease added to healthy lungs with a known mask, and the mask that remains correct."""

from hilum.synthesis.lesions.diaphragm import abdomen_slices, add_diaphragm
from hilum.synthesis.lesions.make import Injured, add_injury, random_injury
from hilum.synthesis.lesions.pleura import PleuralCase, PleuralKind, add_pleura, random_pleura

__all__ = [
    "Injured",
    "PleuralCase",
    "PleuralKind",
    "abdomen_slices",
    "add_diaphragm",
    "add_injury",
    "add_pleura",
    "random_injury",
    "random_pleura",
]
