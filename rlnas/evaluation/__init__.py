"""Evaluators, which turn an architecture into a measurement, and executors, which run them."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
