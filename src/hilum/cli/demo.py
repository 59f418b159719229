"""``hilum demo``: the main job on a made-up chest, next to the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum.cli.console import progress_bar, say, say_flags
from hilum.cli.options import Quiet

__all__ = ["command"]


def command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path("hilum-demo"),
    quiet: Quiet = False,
) -> int:
    """Make a digital chest, find and measure its lungs, and compare with the truth."""
    # The results bring numpy, which the help of a command does without.
    from hilum.results import summary_line

    with progress_bar("demo", quiet) as progress:
        if progress:
            progress(0.0, "making a chest")
        scan = hilum.phantom(seed=1, spacing=(1.0, 1.0, 1.5))
        result = hilum.segment(scan.volume, progress=progress)
        where = hilum.write_result(result, out / scan.volume.meta.name, formats=("nifti",), report=True)
    say(summary_line(scan.volume.meta.name, result, where), quiet=quiet)
    say_flags(result.flags, quiet=quiet)
    say("  measured against the truth of the digital chest:", quiet=quiet)
    for measure, key in (("volume", "volume_ml"), ("air_volume", "air_ml"), ("tissue_mass", "mass_g")):
        value = result.measures["lungs"][measure]
        true = getattr(scan.truth.regions["lungs"], key)
        if value.value is not None:
            off = 100 * (value.value / true - 1)
            say(
                f"  {measure:<12}{value.value:8.0f} {value.unit:<3} truth {true:8.0f}  {off:+.1f} %",
                quiet=quiet,
            )
    say(f"Open {where / 'report.html'}", quiet=quiet)
    return 0
