"""The network: features, autoencoder and training loop."""
