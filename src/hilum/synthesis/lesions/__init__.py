"""Synthetic injury: disease put into healthy lungs whose mask is known, and the mask that stays right."""

from hilum.synthesis.lesions.diaphragm import abdomen_slices, add_diaphragm
from hilum.synthesis.lesions.make import Injured, add_injury, random_injury

__all__ = ["Injured", "abdomen_slices", "add_diaphragm", "add_injury", "random_injury"]
