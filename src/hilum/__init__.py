"""Chest CT in; lungs in litres, grams and millilitres of air out.

Importing this package loads no heavy library: names are resolved when they are first used.

Examples:
    >>> import hilum
    >>> scan = hilum.phantom(seed=1, spacing=(3.0, 3.0, 3.0))
    >>> result = hilum.segment(scan.volume)
    >>> result.measures["lungs"]["volume"].unit
    'mL'
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
