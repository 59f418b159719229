"""Synthesis: digital chests with exact truth, and lesions in real lungs."""
