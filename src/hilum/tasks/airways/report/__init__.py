"""The section of the airways in the report."""
