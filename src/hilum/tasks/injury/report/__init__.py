"""What the report shows of injured lung."""
