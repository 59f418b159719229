"""The intensities in and around the lungs of a dataset."""
