"""Resolutions of what detectors measure, and the bounds that follow from them."""
