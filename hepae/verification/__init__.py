"""Proof that a compressed or restored file holds all of its original, but for what its bounds allow."""
