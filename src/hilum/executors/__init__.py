"""Where jobs are done: in this process or in several, each job for itself.

A job that fails, hangs, takes too much memory or kills its process costs that job only.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
