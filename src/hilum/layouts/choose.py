"""The layouts by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

from hilum.core.errors import UsageError
from hilum.core.sentences import Sentence
from hilum.io.remote import Remote, is_url
from hilum.layouts.bids import BidsLayout
from hilum.layouts.layout import FolderLayout, Layout
from hilum.results import Format

__all__ = ["BIDS", "FOLDERS", "choose_layout", "choose_remote"]

FOLDERS = "folders"
BIDS = "bids"


def choose_layout(
    name: str,
    inputs: Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None,
    *,
    series: str | None = None,
    formats: Iterable[Format] = (),
    code_ids: bool = False,
) -> Layout | None:
    """Return the layout of a name for some inputs.

    Args:
        name: ``folders`` for a folder for each scan, or ``bids`` for a BIDS dataset and its derivative.
        inputs: Where the scans are; for ``bids`` the folder of one dataset.
        out: Folder for the results; without it ``folders`` writes nothing, and ``bids`` writes
            ``derivatives/hilum`` in the dataset.
        series: DICOM series that is asked for.
        formats: Formats of the label maps.
        code_ids: Whether the scans are to be numbered.

    Returns:
        The layout; None where nothing is written.

    Raises:
        UsageError: There is no such layout, or it cannot do what is asked for.
    """
    place = None if out is None else Path(out)
    if name == FOLDERS:
        return None if place is None else FolderLayout(place)
    if name != BIDS:
        raise UsageError(
            Sentence("{option:layout} is '{text}', expected {one} or {other}.", text=name, one=FOLDERS,
                     other=BIDS)
        )  # fmt: skip
    if len(inputs) != 1:
        raise UsageError(
            Sentence("A BIDS dataset is one folder, but {count} inputs were named.", count=len(inputs)),
            "Name the folder of one dataset.",
        )
    if series is not None:
        raise UsageError(
            "Scans in BIDS are NIfTI, which has no DICOM series to choose from.",
            Sentence("Leave out {option:series}."),
        )
    if code_ids:
        raise UsageError(
            "A BIDS derivative keeps the labels of its dataset, so its scans cannot be numbered.",
            Sentence("Leave out {option:code_ids}."),
        )
    if Format.DICOM_SEG in set(formats):
        raise UsageError(
            "A DICOM SEG needs a scan read from DICOM, and scans in BIDS are NIfTI.",
            Sentence("Choose nifti or nrrd{with:format}."),
        )
    return BidsLayout(Path(inputs[0]), place)


def choose_remote(
    name: str,
    inputs: Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None,
    *,
    code_ids: bool = False,
) -> str | None:
    """Return the URL that results go to; None where they go to a folder, or nowhere.

    Args:
        name: Of the layout.
        inputs: Where the scans are.
        out: Folder or URL for the results.
        code_ids: Whether the scans are to be numbered.

    Raises:
        MissingExtraError: fsspec is not installed.
        UsageError: A URL cannot be used, or not for what is asked for.
    """
    urls = [text for text in (*inputs, out) if isinstance(text, str) and is_url(text)]
    if urls and name == BIDS:
        raise UsageError(
            Sentence("{file:path} is a URL, and a BIDS dataset is a folder.", path=urls[0]),
            "Mount it, or copy the dataset.",
        )
    for url in urls:  # before anything is looked for
        Remote(url)
    if not isinstance(out, str) or out not in urls:
        return None
    if code_ids:
        raise UsageError(
            "Scans whose results go to a URL cannot be numbered: the dictionary of numbers lies in a folder.",
            Sentence("Leave out {option:code_ids}, or copy the results there later."),
        )
    return out
