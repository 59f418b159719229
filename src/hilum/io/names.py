"""A folder name from a file name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["VOLUME_SUFFIXES", "scan_name"]

#: Endings of files that hold one volume or picture, longest first.
VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".tiff", ".tif", ".hdr", ".img")

_STRIPPED = (".img.gz", ".seg.nrrd", *VOLUME_SUFFIXES, ".dcm", ".dicom", ".ima", ".zip", ".png")
_MAX_BYTES = 120  # room for our own prefixes and suffixes: file systems stop at 255 bytes
_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


def scan_name(path: Path | str) -> str:
    """Return the name of a scan: its file name without the suffix, safe as a folder name everywhere.

    Letters of any script, digits, ``.``, ``-`` and ``_`` stay; anything else becomes one ``_``. The name
    never starts with a dot or a dash, is never a name that Windows reserves and never empty.

    Args:
        path: File or folder; only its last part is used.

    Examples:
        >>> scan_name("/data/case 07 (soft).nii.gz")
        'case_07_soft'
        >>> scan_name("1.2.840.113")
        '1.2.840.113'
    """
    name = unicodedata.normalize("NFC", Path(path).name)
    for suffix in sorted(_STRIPPED, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    safe = "".join(c if c.isalnum() or c in ".-_" else " " for c in name)
    safe = "_".join(safe.split()).strip("._- ").lstrip("-")
    while len(safe.encode()) > _MAX_BYTES:
        safe = safe[:-1]
    safe = safe.rstrip("._- ")
    if safe.split(".")[0].lower() in _RESERVED:
        safe = f"scan_{safe}"
    return safe or "scan"
