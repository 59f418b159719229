"""Many results together: one row a scan as CSV, Parquet and Excel, and one page to look through them.

Everything is made from the folders of results alone, so it can be made again at any time.
"""

from __future__ import annotations

from hilum.tables.columns import Column, Kind
from hilum.tables.scans import Failure, ScanTable
from hilum.tables.write import read_results, write_tables

__all__ = ["Column", "Failure", "Kind", "ScanTable", "read_results", "write_tables"]
