from .index import Dataset as Dataset
from .index import SliceRecord as SliceRecord
from .index import SubjectRecord as SubjectRecord
from .index import load_dataset as load_dataset
from .index import load_index as load_index
from .pairs import find_pairs as find_pairs

__all__ = [
    "Dataset",
    "SliceRecord",
    "SubjectRecord",
    "find_pairs",
    "load_dataset",
    "load_index",
]
