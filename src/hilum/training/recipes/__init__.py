"""Recipes: how the models that ship were trained, from data to card."""
