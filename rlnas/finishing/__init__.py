"""Finds the winner of a finished search: trains the finalists fully and chooses one."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
