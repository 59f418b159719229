"""The reference of the command line, from the same objects that print ``--help``."""

from __future__ import annotations

import html
import re
from typing import Any

import typer.main

from hilum.cli.app import app

__all__ = ["cli_page", "verbs"]

_INTRO = """# Command line

This page is made from the program itself: it says what `hilum VERB --help` says. `python -m hilum` is the same
program. `hilum --install-completion` turns on completion in the shell.

Exit codes: see [Outputs](outputs.md#exit-codes).
"""


def verbs() -> dict[str, Any]:
    """Return the command of each verb, in the order in which ``hilum --help`` lists them."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def cli_page() -> str:
    """Return the reference as Markdown: a section a verb, with its arguments and options."""
    parts = [_INTRO]
    for name, command in verbs().items():
        context = command.make_context(f"hilum {name}", [], resilient_parsing=True)
        usage = " ".join([f"hilum {name}", *command.collect_usage_pieces(context)])
        parts.append(f"## hilum {name}\n\n    {usage}\n\n{_prose(command.help)}\n")
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        parts += [_table("argument", arguments, context), _table("option", options, context)]
    return "\n".join(parts)


def _table(kind: str, parameters: list[Any], context: Any) -> str:
    records = [parameter.get_help_record(context) for parameter in parameters]
    rows = [f"| `{_cell(what)}` | {_prose(_cell(meaning))} |" for what, meaning in filter(None, records)]
    return "\n".join([f"| {kind} | meaning |", "|---|---|", *rows, ""]) if rows else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def _prose(text: str | None) -> str:
    return html.escape(text or "", quote=False).replace("*", "\\*").replace("[", "\\[")
