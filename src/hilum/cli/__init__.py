"""The program ``hilum``: a thin skin over the public API, one file a verb."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the program and end it with the exit code of what happened."""
    from hilum.cli.app import run
    from hilum.offline import spare_the_home

    spare_the_home()
    sys.exit(run(sys.argv[1:]))
