"""Text from file names and headers, made safe to write into files."""

from __future__ import annotations

import json
import re

__all__ = ["printable", "utf8_safe", "utf8_safe_json"]

_SURROGATES = re.compile("[\ud800-\udfff]+")
#: Halves of surrogate pairs that are not Python's way of keeping a byte of a file name (U+DC80 to U+DCFF).
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
#: C0 without tab and line feed, DEL, C1, separators of lines and paragraphs, and turns of writing direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def utf8_safe(text: str) -> str:
    r"""Return text that can be written as UTF-8; bytes of a file name that are not UTF-8 are escaped.

    On Linux a file name is any bytes. Python keeps those that it cannot read as halves of surrogate pairs;
    without a locale that are all beyond ASCII, which are read as UTF-8 here. Different names stay different.

    Examples:
        >>> print(utf8_safe("M\udcfcller"), utf8_safe("M\udcc3\udcbcller"))
        M\xfcller Müller
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        halved = _HALVES.sub(_escape, text)
        return halved.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def utf8_safe_json(text: str) -> str:
    r"""Return JSON whose strings are :func:`utf8_safe`.

    Examples:
        >>> json.loads(utf8_safe_json('["M\udcfcller"]')) == [utf8_safe("M\udcfcller")]
        True
    """
    return _SURROGATES.sub(lambda found: json.dumps(utf8_safe(found[0]), ensure_ascii=False)[1:-1], text)


def printable(text: str) -> str:
    r"""Return :func:`utf8_safe` text in which control characters are escaped; tab and line feed stay.

    Examples:
        >>> print(printable("a\x1b[31m\u202e"))
        a\x1b[31m\u202e
    """
    return _CONTROL.sub(_escape, utf8_safe(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
