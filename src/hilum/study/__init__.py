"""Exploring the HU in and around the lungs of a dataset."""
