from .executor import Ended as Ended
from .executor import Executor as Executor
from .here import Here as Here
from .limits import Limits as Limits
from .limits import Share as Share
from .limits import share_out as share_out
from .pool import Pool as Pool

__all__ = ["Ended", "Executor", "Here", "Limits", "Pool", "Share", "share_out"]
