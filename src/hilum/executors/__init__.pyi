from .executor import Ended as Ended
from .executor import Executor as Executor
from .here import Here as Here
from .limits import Limits as Limits
from .limits import Share as Share
from .limits import parse_jobs as parse_jobs
from .limits import share_out as share_out
from .pool import Pool as Pool
from .ray import OnRay as OnRay
from .ray import parse_on as parse_on

__all__ = [
    "Ended",
    "Executor",
    "Here",
    "Limits",
    "OnRay",
    "Pool",
    "Share",
    "parse_jobs",
    "parse_on",
    "share_out",
]
