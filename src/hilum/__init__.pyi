from .api import check as check
from .api import inspect as inspect
from .api import measure as measure
from .api import phantom as phantom
from .api import segment as segment
from .batch.jobs import Outcome as Outcome
from .batch.run import Batch as Batch
from .batch.run import run_batch as run_batch
from .core.errors import GeometryError as GeometryError
from .core.errors import HilumError as HilumError
from .core.errors import InputError as InputError
from .core.errors import ModelError as ModelError
from .core.errors import NotAChestError as NotAChestError
from .core.errors import OutputError as OutputError
from .core.errors import ResourceError as ResourceError
from .core.errors import UsageError as UsageError
from .core.flags import Flag as Flag
from .core.flags import Severity as Severity
from .core.label_volume import LabelVolume as LabelVolume
from .core.labels import LabelSet as LabelSet
from .core.labels import Lung as Lung
from .core.labels import Side as Side
from .core.segmentation import Segmentation as Segmentation
from .core.version import __version__ as __version__
from .core.volume import Volume as Volume
from .datasets.prepare import prepare as prepare
from .evaluation.compare import compare as compare
from .evaluation.evaluate import evaluate as evaluate
from .io import read as read
from .measures import Measures as Measures
from .pipeline import SegmentOptions as SegmentOptions
from .result import Result as Result
from .results import write_result as write_result
from .study.explore import explore as explore
from .synthesis.phantoms import Phantom as Phantom
from .training.slices.fit import train as train

__all__ = [
    "Batch",
    "Flag",
    "GeometryError",
    "HilumError",
    "InputError",
    "LabelSet",
    "LabelVolume",
    "Lung",
    "Measures",
    "ModelError",
    "NotAChestError",
    "Outcome",
    "OutputError",
    "Phantom",
    "ResourceError",
    "Result",
    "SegmentOptions",
    "Segmentation",
    "Severity",
    "Side",
    "UsageError",
    "Volume",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "explore",
    "inspect",
    "measure",
    "phantom",
    "prepare",
    "read",
    "run_batch",
    "segment",
    "train",
    "write_result",
]
