"""Trained models: the model card, the inference engine, and the shipped weights.

Names load on first use, so that the command line starts without numpy.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
