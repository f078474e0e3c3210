"""The autoencoder codec: features, network, latents, and its model file."""
