"""The program ``hilum``: a thin wrapper of the public API, one file per command."""

from __future__ import annotations

import sys

from hilum.cli import signals

__all__ = ["main"]


def main() -> None:
    """Run the program and end it with the exit code of what happened."""
    signals.install()  # before anything that takes time
    try:
        # typer and the commands take most of the time of a start, in which a signal may come already.
        from hilum.cli.app import run
        from hilum.cli.console import open_streams

        open_streams()
        code = run(sys.argv[1:])
    except signals.Stopped as stop:  # before the first verb, or after the last
        from hilum.cli.app import settle

        code = settle(stop)
    signals.end_with(code)
    sys.exit(code)
