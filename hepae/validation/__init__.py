"""What restored jets are worth: residual numbers, histograms, and the figures drawn of them."""
