"""What a network costs, from its architecture alone: no TensorFlow, well under a millisecond.

Used to turn down networks outside a budget before they are trained.

Errors against converted networks that took no part in fitting, and the arena that TFLite Micro
allocated for them (`experiments/fit_cost.py --count=14`; 20 networks a row, mean / worst);
parameters and the head of the arena were exact for all:

  space               flash             tail
  chain               0.11% / 0.36%   0.24% / 0.55%
  multibranch         0.09% / 0.52%   0.27% / 0.50%
  nasnet              0.16% / 0.38%   0.24% / 0.48%
  blockqnn            0.07% / 0.24%   0.27% / 0.68%
  recurrent           0.33% / 1.34%   1.17% / 1.67%
  joint               0.23% / 0.57%   0.26% / 0.55%
  multibranch, pad    0.12% / 0.45%   0.08% / 0.38%
  recurrent, 3 steps  0.27% / 0.64%   0.54% / 0.88%

Two recurrent networks of base 3 and 3 steps, which no row holds, were 2.3 % smaller than estimated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.child.arena import tail_bytes
from rlnas.child.flash import constant_tensors, flash_bytes
from rlnas.child.operators import Converted, arena_tasks, foretell
from rlnas.child.schedule import least_arena_order


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs.

  Attributes:
    macs: multiply-accumulate operations of convolutions and dense layers, one inference.
    parameters: trainable weights: kernels, gamma and beta of batch normalisation, dense layers.
    flash_bytes: estimated size of the .tflite file of the trained network.
    arena_head_bytes: planned size of the activations in the tensor arena, input included.
    arena_tail_bytes: estimated size of the interpreter's structures there.
  """

  macs: int
  parameters: int
  flash_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int

  @property
  def sram_bytes(self) -> int:
    """The tensor arena: head and tail."""
    return self.arena_head_bytes + self.arena_tail_bytes


def cost(architecture: Architecture, input_shape: Sequence[int], classes: int) -> Cost:
  """Counts and estimates what a network costs.

  Args:
    architecture: the network.
    input_shape: (height, width, channels), or (time, features).
    classes: width of the classifier.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  network = foretell(architecture, input_shape, classes)
  kernels = network.kernels
  stored = {k.key: k for k in kernels}.values()
  return Cost(
    macs=sum(k.weights * k.places for k in kernels),
    parameters=sum(k.weights + k.channels * (1 if k.dense else 2) for k in stored),
    flash_bytes=flash_bytes(network),
    arena_head_bytes=least_arena_order(*arena_tasks(network))[1],
    arena_tail_bytes=tail_bytes(
      (o.kind for o in network.operators),
      tensors=tensor_count(network),
      channels=sum(k.channels for k in kernels),
    ),
  )


def tensor_count(network: Converted) -> int:
  """How many tensors the .tflite file of a network has."""
  kernels = network.kernels
  stored = {k.key for k in kernels}
  return 1 + len(network.operators) + len(kernels) + len(stored) + constant_tensors(network)
