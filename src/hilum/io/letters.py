"""Text from file names and headers, made fit for files that others read."""

from __future__ import annotations

import json
import re

__all__ = ["visible", "whole", "whole_json"]

_SURROGATES = re.compile("[\ud800-\udfff]+")
#: Halves of surrogate pairs that are not Python's way of keeping a byte of a file name (U+DC80 to U+DCFF).
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
#: C0 without tab and line feed, DEL, C1, separators of lines and paragraphs, and turns of writing direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def whole(text: str) -> str:
    r"""Return text that can be written as UTF-8; bytes of a file name that are no UTF-8 are escaped.

    On Linux a file name is any bytes. Python keeps those that it cannot read as halves of surrogate pairs;
    without a locale that are all beyond ASCII, which are read as UTF-8 here. Different names stay different.

    Examples:
        >>> print(whole("M\udcfcller"), whole("M\udcc3\udcbcller"))
        M\xfcller Müller
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        halved = _HALVES.sub(_escape, text)
        return halved.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def whole_json(text: str) -> str:
    r"""Return JSON whose strings are :func:`whole`.

    Examples:
        >>> json.loads(whole_json('["M\udcfcller"]')) == [whole("M\udcfcller")]
        True
    """
    return _SURROGATES.sub(lambda found: json.dumps(whole(found[0]), ensure_ascii=False)[1:-1], text)


def visible(text: str) -> str:
    r"""Return :func:`whole` text in which control characters are escaped; tab and line feed stay.

    Examples:
        >>> print(visible("a\x1b[31m\u202e"))
        a\x1b[31m\u202e
    """
    return _CONTROL.sub(_escape, whole(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
