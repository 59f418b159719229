"""A folder name from a file name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

__all__ = [
    "MASK_TAILS",
    "VOLUME_SUFFIXES",
    "absolute",
    "is_volume_file",
    "natural_key",
    "scan_name",
    "without_collisions",
]

#: Endings of files that hold one volume or image, longest first.
VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".tiff", ".tif", ".hdr", ".img")

#: What programs add to the name of a scan to name a label map, and what they call one that stands alone.
MASK_TAILS = ("lungs", "lung", "mask", "masks", "label", "labels", "seg", "dseg", "pred")

_STRIPPED = (".img.gz", ".seg.nrrd", *VOLUME_SUFFIXES, ".dcm", ".dicom", ".ima", ".zip", ".png")
_MAX_BYTES = 120  # room for our own prefixes and suffixes: file systems stop at 255 bytes
_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


def absolute(path: Path | str) -> Path:
    """Return a path whole and without ``..``, through links as they were given: users name scans by links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def scan_name(path: Path | str, *, suffix: bool = False) -> str:
    """Return the name of a scan: its file name without the suffix, safe as a folder name everywhere.

    Letters of any script, digits, ``.``, ``-`` and ``_`` stay; anything else becomes one ``_``. The name
    never starts with a dot or a dash, is never a name that Windows reserves and never empty.

    Args:
        path: File or folder; only its last part is used.
        suffix: Keep the suffix, as for a folder on the way to a scan.

    Examples:
        >>> scan_name("/data/case 07 (soft).nii.gz")
        'case_07_soft'
        >>> scan_name("1.2.840.113")
        '1.2.840.113'
    """
    name = unicodedata.normalize("NFC", Path(path).name)
    for end in () if suffix else sorted(_STRIPPED, key=len, reverse=True):
        if name.lower().endswith(end) and len(name) > len(end):
            name = name[: -len(end)]
            break
    safe = "".join(c if c.isalnum() or c in ".-_" else " " for c in name)
    safe = "_".join(safe.split()).strip("._- ").lstrip("-")
    while len(safe.encode()) > _MAX_BYTES:
        safe = safe[:-1]
    safe = safe.rstrip("._- ")
    if safe.split(".")[0].lower() in _RESERVED:
        safe = f"scan_{safe}"
    return safe or "scan"


def is_volume_file(name: str, beside: Collection[str], suffixes: tuple[str, ...] = VOLUME_SUFFIXES) -> bool:
    """Whether a file holds a volume, from its name; an ``.img`` belongs to the ``.hdr`` beside it.

    Args:
        name: Name of the file.
        beside: Names of the files in the same folder, in lower case.
        suffixes: Endings of volume files.

    Examples:
        >>> is_volume_file("ct.img", {"ct.img"}), is_volume_file("ct.img", {"ct.img", "ct.hdr"})
        (True, False)
    """
    lower = name.lower()
    header = lower.removesuffix(".gz").removesuffix(".img") + ".hdr"
    return lower.endswith(suffixes) and not (lower.endswith((".img", ".img.gz")) and header in beside)


def without_collisions(names: Sequence[str]) -> list[str]:
    """Number names that are taken already, so that no folder is, or lies in, that of another scan.

    Args:
        names: Paths of folders below one folder, parts separated by ``/``.

    Returns:
        One name each, in the same order. Large and small letters count as equal, as on Windows and macOS.

    Examples:
        >>> without_collisions(["a/ct", "a/CT", "a", "b"])
        ['a/ct', 'a/CT-2', 'a-2', 'b']
    """
    taken = {parent for name in names for parent in _parents(name.lower())}
    out: list[str] = []
    for base in names:
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        out.append(name)
    return out


def _parents(name: str) -> list[str]:
    """Return the folders above one, the highest first."""
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def natural_key(name: str) -> tuple[tuple[int, int, str, str], ...]:
    """Return a key that sorts ``case-2`` before ``case-10``, the same on every machine."""
    key = []
    for part in re.findall(r"[0-9]+|[^0-9]+", name):
        if part[0] in "0123456789":
            digits = part.lstrip("0")  # compared by length, then as text: a number may be of any length
            key.append((0, len(digits), digits, part))
        else:
            key.append((1, 0, part.casefold(), part))
    return tuple(key)
