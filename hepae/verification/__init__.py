"""Check that a compressed or restored file lost nothing of its original beyond its bounds."""
