from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["airways", "measures", "quality"])
def test_pages_are_as_new_as_the_code(page):
    """After a change of a registry run docs/generate_measures.py."""
    spec = spec_from_file_location("generate_measures", DOCS / "generate_measures.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    text = (DOCS / "concepts" / f"{page}.md").read_text(encoding="utf-8")
    assert text == getattr(script, f"{page}_page")()
