"""Search strategies: each proposes architectures and learns from their rewards.

One file a strategy. This package imports none of them: `random_search` needs no TensorFlow, those
with a controller do.
"""
