"""Training of the 3-D lung model on whole volumes: cases, variation, network, fit."""
