"""The task ``injury``: what the lungs hold, told apart by tissue."""
