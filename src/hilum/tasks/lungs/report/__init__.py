"""What the report shows of the lungs."""
