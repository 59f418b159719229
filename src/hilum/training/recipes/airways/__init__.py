"""How the voxel classifier of the airways is trained."""
