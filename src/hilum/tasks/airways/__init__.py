"""The task ``airways``: lumen and wall from the trachea to the periphery, as a tree that is measured."""
