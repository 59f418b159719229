"""Volumes, labels, segmentations, flags and errors: what all rests on. It imports nothing of hilum."""
