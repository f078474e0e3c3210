"""Codecs: jets to compressed columns and back, in memory and in files."""
