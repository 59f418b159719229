"""Synthetic injury: disease added to healthy lungs with a known mask, and the mask that remains correct."""

from hilum.synthesis.lesions.diaphragm import abdomen_slices, add_diaphragm
from hilum.synthesis.lesions.make import Injured, add_injury, random_injury

__all__ = ["Injured", "abdomen_slices", "add_diaphragm", "add_injury", "random_injury"]
