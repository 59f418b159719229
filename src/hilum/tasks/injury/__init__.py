"""The task ``injury``: what the lungs hold, classified by tissue."""
