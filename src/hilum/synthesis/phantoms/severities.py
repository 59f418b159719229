"""Names with a severity, as in ``"effusion:0.8,oedema"``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from hilum.core.errors import UsageError

__all__ = ["parse_severities"]

#: Severity where only a name is given.
DEFAULT_SEVERITY = 0.5


def parse_severities(
    given: str | Mapping[str, float] | None, known: Iterable[str], what: str
) -> dict[str, float]:
    """Read names with severities.

    Args:
        given: None, a mapping from name to severity (0 to 1), or names separated by commas, each with an
            optional severity.
        known: The names that are allowed.
        what: What a name stands for, for the messages.

    Returns:
        Severity by name; those of 0 are left out.

    Raises:
        UsageError: A name is unknown or a severity lies outside 0 to 1.
    """
    if given is None:
        return {}
    names = tuple(known)
    items: list[tuple[str, object]]
    if isinstance(given, str):
        parts = (part.strip().partition(":") for part in given.split(",") if part.strip())
        items = [(name, severity or DEFAULT_SEVERITY) for name, _, severity in parts]
    else:
        items = list(given.items())
    result: dict[str, float] = {}
    for name, value in items:
        plain = str(name.value) if isinstance(name, Enum) else str(name)
        code = plain.strip().lower().replace("-", "_")
        if code not in names:
            raise UsageError(f"{what} {plain!r} is unknown.", f"Known are: {', '.join(names)}.")
        try:
            severity = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            severity = float("nan")
        if not 0.0 <= severity <= 1.0:
            raise UsageError(f"The severity of {code} is {value}; it must be a number from 0 to 1.")
        if severity > 0:
            result[code] = severity
    return result
