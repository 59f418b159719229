from .inputs import read_inputs as read_inputs
from .jobs import Job as Job
from .jobs import Outcome as Outcome
from .jobs import WriteOptions as WriteOptions
from .jobs import segment_job as segment_job
from .ledger import FAILED as FAILED
from .ledger import Ledger as Ledger
from .run import Batch as Batch
from .run import Counts as Counts
from .run import run_batch as run_batch

__all__ = [
    "FAILED",
    "Batch",
    "Counts",
    "Job",
    "Ledger",
    "Outcome",
    "WriteOptions",
    "read_inputs",
    "run_batch",
    "segment_job",
]
