"""Search spaces: each is a callable that starts a walk of decisions, and has one file.

`rlnas.spaces.decision` defines decisions and walks, `rlnas.spaces.table` compiles a space to a
table, and `rlnas.spaces.layers` has the layers that several spaces use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
