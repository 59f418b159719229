"""Arrays with millimetres: blocks, interpolation, morphology, surfaces. It knows no files and no lungs."""
