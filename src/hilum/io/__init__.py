"""Files in, files out: readers that end in a :class:`hilum.core.volume.Volume`, and atomic writers.

Names load on first use, so that importing the package stays light.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
