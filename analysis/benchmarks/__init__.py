"""What the benchmarks share: jets, ways to store them, and what a way takes."""
