"""Text from file names and headers, made fit for files that others read."""

from __future__ import annotations

import re

__all__ = ["visible", "whole"]

#: Halves of surrogate pairs that are not Python's way of keeping a byte of a file name (U+DC80 to U+DCFF).
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
#: C0 without tab and line feed, DEL, C1, separators of lines and paragraphs, and turns of writing direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_REPLACEMENT = "\ufffd"
_PICTURES = 0x2400  # Unicode block of pictures of the control characters
_DELETE, _PICTURE_OF_DELETE = 0x7F, "\u2421"


def whole(text: str) -> str:
    r"""Return text that can be written as UTF-8: bytes of file names are read as UTF-8 again, or replaced.

    On Linux a file name is any bytes. Python keeps those that it cannot read as halves of surrogate pairs;
    without a locale that are all beyond ASCII.

    Examples:
        >>> whole("M\udcfcller"), whole("M\udcc3\udcbcller")
        ('M�ller', 'Müller')
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALVES.sub(_REPLACEMENT, text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text


def visible(text: str) -> str:
    r"""Return :func:`whole` text in which pictures stand for control characters; tab and line feed stay.

    Examples:
        >>> visible("a\x1b[31m\x7f\x9b")
        'a␛[31m␡�'
    """
    return _CONTROL.sub(_picture, whole(text))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == _DELETE:
        return _PICTURE_OF_DELETE
    return chr(_PICTURES + code) if code < ord(" ") else _REPLACEMENT
