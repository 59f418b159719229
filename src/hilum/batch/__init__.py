"""Many scans in one call: jobs with keys, so that what is done is not done again."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
