"""Search strategies: each proposes architectures and learns from their rewards."""
