"""The learned model of the lungs."""
