"""What the report shows of the vessels."""
