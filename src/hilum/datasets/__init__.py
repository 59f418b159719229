"""Datasets of slices, made from pairs of scan and mask. No torch here.

Names load on first use, so that importing the package stays light.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
