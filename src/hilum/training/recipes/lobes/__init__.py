"""How the prior of the task ``lobes`` is made from fissure points and from lungs."""
