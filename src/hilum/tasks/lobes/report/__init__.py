"""The lobes' section of the report."""
