"""Training with the Matryoshka objective: an adaptor on frozen vectors, or the model itself."""
