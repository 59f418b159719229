"""Arrays in millimetres: blocks, interpolation, morphology, surfaces. Independent of files and of lungs."""
