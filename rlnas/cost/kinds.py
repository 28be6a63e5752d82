"""The kinds of operators of a converted network, from its architecture, without compiled functions.

A firmware registers these operators, so its size depends on them (`rlnas.cost.firmware`).
"""

from __future__ import annotations

import collections

from rlnas.architecture import SIZED, Architecture

# TensorFlow Lite's name of each operation's operator; its index in `rlnas.cost.structures.KINDS` is
# its code.
KIND_OF = {
  'conv': 'CONV_2D',
  'dilated_conv': 'CONV_2D',
  'depthwise_conv': 'DEPTHWISE_CONV_2D',
  'dilated_depthwise_conv': 'DEPTHWISE_CONV_2D',
  'max_pool': 'MAX_POOL_2D',
  'avg_pool': 'AVERAGE_POOL_2D',
  'add': 'ADD',
  'multiply': 'MUL',
  'concat': 'CONCATENATION',
  'pad_like': 'PAD',
  'relu': 'RELU',
  'tanh': 'TANH',
  'sigmoid': 'LOGISTIC',
  'frames': 'STRIDED_SLICE',
  'dense': 'FULLY_CONNECTED',
  'classifier': 'FULLY_CONNECTED',
  'global_avg_pool': 'MEAN',
  'resize_like': 'RESIZE_NEAREST_NEIGHBOR',
  'reconstruction': 'CONV_2D',
}
# Operators that a ReLU after them is merged into.
TAKE_RELU = frozenset({'ADD', 'MUL', 'FULLY_CONNECTED', 'CONV_2D', 'DEPTHWISE_CONV_2D'})


def operator_kinds(architecture: Architecture) -> frozenset[str]:
  """Returns the kinds of operators that a network has after conversion."""
  nodes = architecture.nodes
  readers = collections.Counter(
    source for node in nodes for source in (node.inputs[:1] if node.op in SIZED else node.inputs)
  )
  found = set()
  for node in nodes[1:]:
    before = node.inputs[0]
    if node.op == 'relu' and readers[before] == 1 and KIND_OF.get(nodes[before].op) in TAKE_RELU:
      continue
    found.add(KIND_OF[node.op])
    if node.op == 'frames':
      found.add('RESHAPE')
  return frozenset(found)
