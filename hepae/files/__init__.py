"""Compressed files: written, read, joined and described."""
