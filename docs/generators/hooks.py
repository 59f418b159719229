"""The pages of the site that are made while it is built: command line, columns of tables, Python API, licences.

MkDocs calls these functions. The pages exist in the built site only, so none of them can be older than the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api_pages import api_pages
from cli_page import cli_page
from licences import licences_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from tables_page import tables_page

#: What the theme would load when a page is opened from the disk, and the copy in these pages.
_SHIM, _OWN_SHIM = "https://unpkg.com/iframe-worker/shim", "javascripts/iframe-worker.js"
#: Site path of each generated page and the function that returns it as Markdown.
_PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/tables.md": tables_page,
    "licences.md": licences_page,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the API into the navigation, in place of the entry that names their folder."""
    pages = list(api_pages())
    for section in config.nav or []:
        for entry in next(iter(section.values())) if isinstance(section, dict) else []:
            if isinstance(entry, dict) and entry.get("Python API") == "reference/api/":
                entry["Python API"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the generated pages to the files of the site."""
    pages = {path: make() for path, make in _PAGES.items()} | api_pages()
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Let search work without a network on pages that are opened from the disk."""
    return output.replace(_SHIM, get_relative_url(_OWN_SHIM, page.url))


def on_post_template(output_content: str, **_: Any) -> str:
    """Do the same for the page that a server shows for an address that does not exist."""
    return output_content.replace(_SHIM, _OWN_SHIM)
