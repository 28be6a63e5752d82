"""Data sets: arrays in memory, split into training, validation and test; loaders and checks."""
