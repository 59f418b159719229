"""A griffe extension: roles of docstrings, such as ``:func:`hilum.segment```, become links where a page has them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:func|class|mod|meth|attr|data|exc|obj):`(~?)([\w.]+)`")


def _link(match: re.Match[str]) -> str:
    name = match[2]
    shown = name.rpartition(".")[2] if match[1] else name
    return f'<autoref optional identifier="{name}"><code>{shown}</code></autoref>'


class Roles(Extension):
    """Rewrites the roles in every docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)
