"""Volumes, labels, segmentations, flags and errors. This package imports no other part of hilum."""
