"""What ``index.html`` shows."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any


def data_of(page: str) -> dict[str, Any]:
    """Return the data of the page: JSON, compressed by gzip, as base64."""
    packed = re.search(r'id="data">(.*?)</script>', page, re.S)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))
