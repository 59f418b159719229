"""Rendering of all HTML pages: self-contained, without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hilum.core.version import __version__
from hilum.io.safe_text import printable

__all__ = ["POLICY", "render_page", "render_part"]

#: Content a browser may load: styles and images inside the page. No script, connection or form.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_page(template: str, package: str = "hilum.report", **values: Any) -> str:
    """Render a page.

    Args:
        template: Name of the template; it includes ``head.html.j2`` first of all in its head.
        package: Package of the template. Included templates may also be in ``hilum.report``.
        **values: Variables of the template.

    Returns:
        The document. Text is escaped, including control characters from file names and headers.
    """
    values = {"hilum_version": __version__, "policy": POLICY, **values}
    return printable(_environment(package).get_template(template).render(values))


def render_part(template: str, package: str, values: Mapping[str, Any]) -> Markup:
    """Render a part of a page; arguments as in :func:`render_page`."""
    return Markup(_environment(package).get_template(template).render(values))


@lru_cache(maxsize=8)
def _environment(package: str) -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in dict.fromkeys((package, "hilum.report"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
