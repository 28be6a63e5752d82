"""Contract suites: what every space, strategy, evaluator and executor must hold.

Whoever writes one runs the suite of its kind, in a test of any framework or none:

```
from rlnas.testing import check_strategy

def test_my_strategy():
  check_strategy(MyStrategy, table)
```

A broken rule is an `AssertionError` that names it; what an implementation raises by itself passes
through. The single checks of each suite stand in the module of its kind.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
