from .atomic import OutputFolder as OutputFolder
from .atomic import atomic_file as atomic_file
from .atomic import recover as recover
from .dispatch import read as read
from .masks import read_labels as read_labels
from .names import scan_name as scan_name
from .sources import Source as Source
from .temporary import sweep as sweep
from .tiff import write_hu_tiff as write_hu_tiff
from .write import LabelFormat as LabelFormat
from .write import write_bytes as write_bytes
from .write import write_csv as write_csv
from .write import write_json as write_json
from .write import write_label_names as write_label_names
from .write import write_labels as write_labels
from .write import write_map as write_map
from .write import write_text as write_text
from .write import write_volume as write_volume

__all__ = [
    "LabelFormat",
    "OutputFolder",
    "Source",
    "atomic_file",
    "read",
    "read_labels",
    "recover",
    "scan_name",
    "sweep",
    "write_bytes",
    "write_csv",
    "write_hu_tiff",
    "write_json",
    "write_label_names",
    "write_labels",
    "write_map",
    "write_text",
    "write_volume",
]
