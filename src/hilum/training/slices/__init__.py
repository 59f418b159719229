"""Training of networks of slices."""
