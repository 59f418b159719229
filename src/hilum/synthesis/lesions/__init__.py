"""Synthetic injury: disease put into healthy lungs whose mask is known, and the mask that stays right."""

from hilum.synthesis.lesions.dome import add_dome, belly_of
from hilum.synthesis.lesions.make import Injured, add_injury, random_injury

__all__ = ["Injured", "add_dome", "add_injury", "belly_of", "random_injury"]
