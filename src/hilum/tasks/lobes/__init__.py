"""The task ``lobes``: the five lobes of the lungs, divided by their fissures."""
