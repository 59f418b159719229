"""Trained models: the model card, the inference engine, and the shipped weights."""
