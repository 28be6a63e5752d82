"""Search spaces: one file a space, each a callable that starts a walk of decisions.

`rlnas.spaces.decision` is the language that they are written in, `rlnas.spaces.table` its compiler,
`rlnas.spaces.layers` what their networks are built of.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
