"""Contract suites: the rules that every space, strategy, evaluator and executor must keep.

If you write one, run its suite in a test, with or without a test framework:

```
from rlnas.testing import check_strategy

def test_my_strategy():
  check_strategy(MyStrategy, table)
```

A broken rule raises an `AssertionError` that names it; exceptions of the implementation itself pass
through. Each module holds the single checks of its suite.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
