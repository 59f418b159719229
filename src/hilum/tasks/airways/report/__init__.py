"""What the report shows of the airways."""
