"""The quality gate: what can be trusted in a scan and its lungs, and why not.

Names load on first use, so that importing a flag loads nothing else.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
