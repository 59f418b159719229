"""The task ``airways``: lumen and wall of the tree from the trachea to the periphery."""
