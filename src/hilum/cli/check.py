"""``hilum check``: the quality gate alone."""

from __future__ import annotations

from typing import Annotated

import typer

import hilum
from hilum.cli.console import progress_bar, say, say_flags, say_json
from hilum.cli.options import Json, Quiet, Resample, Series
from hilum.core.errors import NotAChestError

__all__ = ["command"]


def command(
    ct: Annotated[str, typer.Argument(help="The CT, as in hilum segment.", show_default=False)],
    series: Series = None,
    resample: Resample = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Say what can be trusted in a scan, and why not. Writes nothing.

    Ends with 0 also where there are flags; with 3, 4 or 5 where the scan cannot be measured at all.
    """
    with progress_bar("check", quiet) as progress:
        flags = hilum.check(ct, series=series, resample=resample, progress=progress)
    if as_json:
        say_json([flag.as_dict() for flag in flags])
    else:
        say(f"{len(flags)} flag{'s' if len(flags) != 1 else ''}", quiet=quiet)
        say_flags(flags, quiet=quiet)
    return NotAChestError.exit_code if any(flag.code == "not_a_chest" for flag in flags) else 0
