"""What the report shows of the pleura."""
