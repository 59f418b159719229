"""Seeded mutations of every kind of input, run through the reading layer in bounded processes."""
