"""Search strategies: each proposes architectures and learns from their rewards.

Each strategy has one file. `random_search`, `local_search`, `evolution`, `qlearning` and
`optuna_sampler` need no TensorFlow; the strategies with a controller do. `admitting` wraps any of
them.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
