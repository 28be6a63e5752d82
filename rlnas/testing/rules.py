"""Functions that raise an AssertionError if an implementation breaks a rule.

They do not use `assert`, as `python -O` removes it.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable

from rlnas.trial import Measurement

_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 300


def require(condition: bool, rule: str, /, **found: object) -> None:
  """Checks one rule.

  Args:
    condition: whether the rule is kept.
    rule: text of the rule.
    found: values to show if it is broken, by name; long values are cut off.

  Raises:
    AssertionError: the condition is False; the message names the rule.
  """
  if condition:
    return
  shown = ', '.join(f'{name}={_SHORT.repr(value)}' for name, value in found.items())
  raise AssertionError(f'{rule}; found {shown}' if shown else rule)


def require_value_error(call: Callable[[], object], words: str, rule: str) -> None:
  """Checks that a call raises a ValueError whose message holds `words`.

  Raises:
    AssertionError: it raises nothing, or its message says something else.
  """
  try:
    returned = call()
  except ValueError as error:
    require(words in str(error), f'{rule}: the message holds {words!r}', message=str(error))
    return
  raise AssertionError(f'{rule}; found no ValueError but {_SHORT.repr(returned)}')


def timeless(measurement: Measurement) -> Measurement:
  """A measurement without its wall time, the only figure that may differ between two runs."""
  return dataclasses.replace(measurement, seconds=0.0)
