"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "Calibrate",
    "Json",
    "KeepUids",
    "Labels",
    "Overwrite",
    "Quiet",
    "Resample",
    "Series",
]

Series = Annotated[
    str | None,
    typer.Option("--series", help="DICOM series to take: UID, a unique part of it, or its number (#3)."),
]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Interpolate across missing slices or a tilted gantry."),
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Correct HU linearly where air and soft tissue are off."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of another scan in the same folder.")
]
KeepUids = Annotated[
    bool,
    typer.Option("--keep-uids", help="Write the DICOM series UID into run.json instead of a salted hash."),
]
_VOCABULARIES = "totalsegmentator, totalsegmentator-v1, lungmask, lungmask-lobes, cip, both"
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help=f"What the values of the mask mean: {_VOCABULARIES} (one label for both lungs), or pairs such "
        "as 10=left,12=right,*=0.",
        show_default="by the names in the file, else 1 right, 2 left",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
