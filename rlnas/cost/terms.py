"""The terms of the work of an inference, which the time of kernels depends on.

The work is a table with a row for each case and a column for each term. A case is a kind of
operator, or a form of it that has a kernel of its own. `rlnas.cost.workload` counts the terms;
`rlnas.cost.instructions` and `rlnas.cost.speed` weigh them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.cost.structures import KINDS

Workload = npt.NDArray[np.float64]  # [case, term]

POINTWISE, DEPTHWISE_3X3 = 'CONV_2D 1x1', 'DEPTHWISE_CONV_2D 3x3'
OTHER = 'other'  # an operator that is not in KINDS
WIDE = 'not int8'  # floating-point or 16-bit values
CASES = (*KINDS, POINTWISE, DEPTHWISE_3X3, OTHER, WIDE)
"""The cases, in the order of the rows."""

TERMS = (
  'calls',  # runs of the operator
  'results',  # elements of the result
  'reads',  # elements read that are not constant
  'places',  # heights times widths of the result
  'rows',  # results times rows of the kernel
  'visits',  # results times places of the kernel
  'inside',  # visits without those beyond the border of the map
  'products',  # multiply-accumulates, those beyond the border included
  'inner',  # multiply-accumulates without those
  'columns',  # values gathered for all places of the result
  'patches',  # places of the result times places of the kernel
  'rest',  # multiply-accumulates outside the groups of channels that are computed together
  'copies',  # pieces of memory that are joined
)
"""The terms, in the order of the columns."""


class Window(NamedTuple):
  """How a kernel moves over a map.

  Attributes:
    height: height of the kernel.
    width: width of the kernel.
    stride_height: step from one place of the result to the one below.
    stride_width: step from one place of the result to the next.
    dilation_height: distance of the kernel's rows.
    dilation_width: distance of the kernel's columns.
    is_same: whether the map is padded, so that its size divided by the stride is the result's.
  """

  height: int = 1
  width: int = 1
  stride_height: int = 1
  stride_width: int = 1
  dilation_height: int = 1
  dilation_width: int = 1
  is_same: bool = True


NO_WINDOW = Window()


class Values(NamedTuple):
  """The values that an operator reads and writes, without constants.

  Attributes:
    height: height of the result; 1 if it has none.
    width: width of the result; 1 if it has none.
    channels: channels of the result.
    from_height: height of the first input.
    from_width: width of the first input.
    from_channels: channels of the first input.
    reads: elements of all inputs.
    inputs: number of inputs.
  """

  height: int
  width: int
  channels: int
  from_height: int
  from_width: int
  from_channels: int
  reads: int
  inputs: int


def no_work() -> Workload:
  """Returns a table of zeros."""
  return np.zeros((len(CASES), len(TERMS)))
