"""How the embedded mini model was made: its words, autoencoder, denoiser, and the network that judges it."""
