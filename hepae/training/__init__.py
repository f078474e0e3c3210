"""Training of the autoencoder: the loop, its data, its record, its processes."""
