"""Files: reading jets, writing trees, and the two formats of hepae's own."""
