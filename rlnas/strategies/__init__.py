"""Search strategies: each proposes architectures and learns from their rewards.

One file a strategy. `random_search`, `evolution`, `qlearning` and `optuna_sampler` need no
TensorFlow; those with a controller do.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
