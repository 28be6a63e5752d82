"""Networks as tf-keras models: built, trained, pruned, trained aware of quantization."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
