"""Synthetic injury: disease put into healthy lungs whose mask is known, and the mask that stays right."""

from hilum.synthesis.lesions.dome import add_dome, belly_of
from hilum.synthesis.lesions.make import Injured, add_injury, random_injury
from hilum.synthesis.lesions.pleura import PleuralCase, PleuralKind, add_pleura, random_pleura

__all__ = [
    "Injured",
    "PleuralCase",
    "PleuralKind",
    "add_dome",
    "add_injury",
    "add_pleura",
    "belly_of",
    "random_injury",
    "random_pleura",
]
