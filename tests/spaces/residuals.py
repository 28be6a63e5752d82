"""A space that the library does not have, in one file: residual blocks of chosen width and kind."""

import dataclasses

from rlnas.architecture import Graph
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk


@dataclasses.dataclass(frozen=True)
class Residuals:
  """A stem, then blocks that each add to what they read."""

  max_blocks: int = 4

  def __call__(self) -> Walk:
    graph = Graph()
    width = yield Decision('width', 'width', (8, 16))
    x = layers.conv(graph, graph.input, filters=int(width), kernel=3, stride=2)
    for i in range(self.max_blocks):
      kind = yield Decision(f'block{i}', 'block', ('wide', 'deep', 'stop'), (width,))
      if kind == 'stop':
        break
      branch = layers.conv(
        graph, x, filters=int(width), kernel=5 if kind == 'wide' else 3, stride=1
      )
      if kind == 'deep':
        branch = layers.conv(graph, branch, filters=int(width), kernel=3, stride=1)
      x = graph.add('add', x, branch)
    return graph.finish(graph.classify(x))
