"""What a trained model is: its card, the engine that runs it, and the weights that are shipped."""
