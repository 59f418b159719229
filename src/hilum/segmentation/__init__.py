"""Models that find structures in a CT."""
