"""Check that the built site loads nothing from elsewhere: ``python docs/check_site.py site``.

Links that a reader may click are fine. What a browser would fetch by itself is not: scripts, styles, fonts, images,
frames and connections of scripts.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

#: Attributes that make a browser fetch, by element. ``link`` is fetched, except for relations that only name.
_FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "link": ("href",),
    "form": ("action",),
    "image": ("href",),
    "use": ("href",),
}
_NAMING = frozenset({"canonical", "next", "prev", "alternate", "author", "license", "edit"})
_OUTSIDE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")]+)", re.IGNORECASE)


class _Page(HTMLParser):
    """Collects what a page would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "link" and _NAMING & set(values.get("rel", "").lower().split()):
            return
        for name in _FETCHED.get(tag, ()):
            if _OUTSIDE.match(values.get(name, "")):
                self.found.append(f"<{tag} {name}={values[name]}>")


def outside_requests(site: Path) -> list[str]:
    """Return what the pages and styles of a site would load from elsewhere, one line each."""
    found = []
    for path in sorted(site.rglob("*.html")):
        page = _Page()
        page.feed(path.read_text("utf-8"))
        found += [f"{path.relative_to(site)}: {what}" for what in page.found]
        found += [f"{path.relative_to(site)}: {url}" for url in _IN_STYLE.findall(path.read_text("utf-8"))]
    for path in sorted(site.rglob("*.css")):
        found += [f"{path.relative_to(site)}: {url}" for url in _IN_STYLE.findall(path.read_text("utf-8"))]
    return found


def main() -> int:
    """Check the site named on the command line."""
    site = Path(sys.argv[1])
    pages = len(list(site.rglob("*.html")))
    found = outside_requests(site)
    print("\n".join(found) if found else f"{pages} pages load nothing from elsewhere.")
    return int(bool(found) or pages == 0)


if __name__ == "__main__":
    sys.exit(main())
