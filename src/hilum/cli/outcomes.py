"""What ``hilum segment`` prints of each scan, of all together, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilum.batch import FAILED, Counts, Outcome
from hilum.cli.console import COMMAND_LINE, print_error, say, say_flags, say_json
from hilum.core.sentences import Sentence, worded

__all__ = ["how_to_go_on", "print_json", "tell", "tell_sum"]


def tell(outcome: Outcome, *, quiet: bool, to_stderr: bool) -> None:
    """Print the outcome of a scan: a line on its lungs and its flags, or why it failed."""
    if outcome.error is not None:
        print_error(outcome.error, "" if outcome.source.alone else outcome.name)
    elif not outcome.before or outcome.source.alone:
        say(outcome.summary, quiet=quiet, to_stderr=to_stderr)
        say_flags(outcome.flags, quiet=quiet, to_stderr=to_stderr)


def tell_sum(counts: Counts, out: Path | str | None, *, quiet: bool, to_stderr: bool) -> None:
    """Print how many scans were measured; to stderr, and even with ``--quiet``, if some failed."""
    before = f"{counts.before} were done before, " if counts.before else ""
    line = f"{counts.ended} scans: {counts.measured} measured, {before}{counts.failed} failed"
    if counts.failed and out is not None:
        line += f" ({out.rstrip('/')}/{FAILED})" if isinstance(out, str) else f" ({out / FAILED})"
    say(line, quiet=quiet and not counts.failed, to_stderr=to_stderr or bool(counts.failed))


def how_to_go_on(counts: Counts) -> str:
    """Say what is done of a batch that was stopped, and how to do the rest."""
    done = counts.measured + counts.before
    return Sentence(
        "{done} of {total} scans are done; the same command with {set:resume} does the others.",
        done=done,
        total=counts.total,
    )


def print_json(outcomes: Sequence[Outcome]) -> None:
    """Print the measures of one scan as they are; those of several as a list that includes failures."""
    if len(outcomes) == 1 and outcomes[0].source.alone:
        plain: object = None if outcomes[0].error else _plain(outcomes[0])
    else:
        plain = [_plain(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.index)]
    if plain is not None:
        say_json(plain)


def _plain(outcome: Outcome) -> dict[str, object]:
    if outcome.error is not None:
        message, hint = (worded(text, COMMAND_LINE) for text in (outcome.error.message, outcome.error.hint))
        said = {"code": outcome.error.exit_code, "message": message, "hint": hint}
        return {"name": outcome.name, "error": said}
    return {"name": outcome.name, **outcome.measures}
