"""What the arena depends on of an operator."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
  """The work of an operator in one inference.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    macs: number of multiply-accumulate operations.
    elements: number of elements that it reads or writes, whichever is larger; without constants.
    kernel_shape: (height, width, input channels) of a convolution, (height, width, channels) of a
      depthwise convolution; () for other operators.
    channels: number of channels of its result.
    scales: number of channels of its kernel that have their own scale.
    inputs: number of tensors that it reads.
    runs: how often it runs in one inference.
    is_int8: whether it computes with int8 values.
    multiplier: number of results for each input channel of a depthwise convolution.
    is_dilated: whether the elements of its kernel lie apart.
    scratch: sizes in bytes of the scratch areas that its portable kernel requests.
  """

  kind: str
  macs: int
  elements: int
  kernel_shape: tuple[int, ...] = ()
  channels: int = 0
  scales: int = 0
  inputs: int = 1
  runs: int = 1
  is_int8: bool = True
  multiplier: int = 1
  is_dilated: bool = False
  scratch: tuple[int, ...] = ()
