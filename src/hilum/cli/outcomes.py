"""What ``hilum segment`` prints of each scan, of all together, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.batch import Outcome
from hilum.cli.console import COMMAND_LINE, print_error, say, say_flags, say_json
from hilum.core.errors import HilumError
from hilum.core.sentences import worded
from hilum.io.sources import Source
from hilum.ledger import FAILED
from hilum.results import measures_dict, summary_line

__all__ = ["Ended", "print_json", "tell", "tell_sum"]


@dataclass(frozen=True)
class Ended:
    """What is kept of a scan until the end; not its voxels, since there may be thousands of scans."""

    source: Source
    error: HilumError | None
    measures: dict[str, object]

    @classmethod
    def of(cls, outcome: Outcome) -> Ended:
        """Keep the measures of an outcome and leave its voxels."""
        return cls(outcome.source, outcome.error, measures_dict(outcome.result) if outcome.result else {})


def tell(outcome: Outcome, *, quiet: bool, to_stderr: bool) -> None:
    """Print the outcome of a scan: a line on its lungs and its flags, or why it failed."""
    if outcome.error is not None:
        print_error(outcome.error, "" if outcome.source.alone else outcome.source.name)
    elif outcome.result is not None:
        line = summary_line(outcome.source.name, outcome.result, outcome.folder)
        say(line, quiet=quiet, to_stderr=to_stderr)
        say_flags(outcome.result.flags, quiet=quiet, to_stderr=to_stderr)


def tell_sum(ended: Sequence[Ended], out: Path | None, *, quiet: bool, to_stderr: bool) -> None:
    """Print how many scans were measured; to stderr, and even with ``--quiet``, if some failed."""
    failed = sum(outcome.error is not None for outcome in ended)
    line = f"{len(ended)} scans: {len(ended) - failed} measured, {failed} failed"
    if failed and out is not None:
        line += f" ({out / FAILED})"
    say(line, quiet=quiet and not failed, to_stderr=to_stderr or bool(failed))


def print_json(ended: Sequence[Ended]) -> None:
    """Print the measures of one scan as they are; those of several as a list that includes failures."""
    if len(ended) == 1 and ended[0].source.alone:
        plain: object = None if ended[0].error else _plain(ended[0])
    else:
        plain = [_plain(outcome) for outcome in ended]
    if plain is not None:
        say_json(plain)


def _plain(outcome: Ended) -> dict[str, object]:
    name = outcome.source.name
    if outcome.error is not None:
        message, hint = (worded(text, COMMAND_LINE) for text in (outcome.error.message, outcome.error.hint))
        said = {"code": outcome.error.exit_code, "message": message, "hint": hint}
        return {"name": name, "error": said}
    return {"name": name, **outcome.measures}
