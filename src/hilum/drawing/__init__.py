"""SVG elements, slices as images, and how numbers are written."""
