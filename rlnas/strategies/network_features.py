"""Features of a network that predict its accuracy, for networks of any space.

The features are work, weights, depth, sizes of the maps and the number of operations of each kind.
If networks differ in all of their decisions, the features rank accuracies better than
the decisions do, until many networks have been trained (White et al. 2021, arXiv:2104.01177,
section 3, find the same for such cheap predictors).
"""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import OPERATIONS, Architecture, TaskShape, infer_shapes
from rlnas.cost.operators import count_macs
from rlnas.cost.preprocessing import preprocessing_of, without_preprocessing

# The features only serve to compare networks, so any input of usual size will do.
_IMAGE = (32, 32, 3)
_FEATURES = 8  # in each frame of a sequence
_CLASSES = 10
_LARGE, _SMALL = 16, 8  # sides of maps: at least half of the image's, and below a quarter

_CONVOLUTIONS = ('conv', 'dilated_conv', 'depthwise_conv', 'dilated_depthwise_conv')
_WITH_WEIGHTS = (*_CONVOLUTIONS, 'dense', 'classifier', 'reconstruction')
# Operations whose number is a feature. Those of reconstructions are added only in these, so that
# networks of classes keep the features that their searches began with.
COUNTED = tuple(op for op in OPERATIONS if op not in ('resize_like', 'reconstruction'))


def traits(architecture: Architecture) -> npt.NDArray[np.float64]:
  """Computes the features of a network, for an input whose size is the same for all networks.

  Returns:
    Logarithms of the multiply-accumulates, the weights, the most elements that one operation reads
    and writes, the filters of the widest convolution, and side and channels of the first and the
    last map; depth in layers with weights; numbers of large, medium and small maps; number of
    windows larger than 3x3; number of nodes of each of `COUNTED`. If the network has
    preprocessing at its input, also logarithms of its sizes; if it ends with a reconstruction, also
    the number of `resize_like` nodes.
  """
  preprocessing = preprocessing_of(architecture)
  seen = () if preprocessing is None else preprocessing.sizes
  architecture = without_preprocessing(architecture)
  frames = [n['first'] + n['count'] for n in architecture.nodes if n.op == 'frames']
  reconstructs = architecture.nodes[-1].op == 'reconstruction'
  outputs = math.prod(_IMAGE) if reconstructs else _CLASSES
  task = TaskShape((max(frames), _FEATURES) if frames else _IMAGE, outputs)
  shapes, (macs, weights) = infer_shapes(architecture, task), count_macs(architecture, task)
  greediest, widest, wide_windows = 0, 1, 0
  elements = [math.prod(shape) for shape in shapes]
  depths: list[int] = []
  for node, shape, size in zip(architecture.nodes, shapes, elements, strict=True):
    greediest = max(greediest, size + sum([elements[i] for i in node.inputs]))
    depth = max([depths[i] for i in node.inputs], default=0)
    if node.op in _CONVOLUTIONS:
      known: dict[str, Any] = dict(node.attributes)
      wide_windows += known['kernel_height'] * known['kernel_width'] > 9
      widest = max(widest, shape[-1])
    depths.append(depth + (node.op in _WITH_WEIGHTS))
  maps = [shape for shape in shapes[1:] if len(shape) == 3] or [(1, 1, 1)]
  (first, *_, first_channels), (last, *_, last_channels) = maps[0], maps[-1]
  sizes = [macs, weights, greediest, widest]
  sizes += [first, first_channels, last, last_channels]
  small = sum([shape[0] < _SMALL for shape in maps])
  medium = sum([shape[0] < _LARGE for shape in maps]) - small
  operations = collections.Counter([node.op for node in architecture.nodes])
  return np.array(
    [
      *(math.log(1 + size) for size in sizes),
      max(depths),
      len(maps) - medium - small,
      medium,
      small,
      wide_windows,
      *(operations[op] for op in COUNTED),
      *map(math.log, seen),
      *([operations['resize_like']] if reconstructs else []),
    ]
  )
