"""Search strategies: each proposes architectures and learns from their rewards.

Each strategy has one file; none needs TensorFlow. `admitting` wraps any of them.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
