"""The intensities in and around the lungs of a data set."""
