"""Files that a firmware needs besides the model: C files, the arena to reserve, test vectors."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
