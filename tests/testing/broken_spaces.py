"""A sound space, and some that break one rule each."""

import dataclasses

from rlnas.architecture import Graph
from rlnas.spaces.decision import Decision

CONV = {'kernel_height': 3, 'kernel_width': 3, 'activation': 'relu'}


def chain(*filters):
  graph = Graph()
  x = graph.input
  for width in filters:
    x = graph.add('conv', x, filters=width, stride=2, **CONV)
  return graph.finish(graph.classify(x))


def sound():
  first = yield Decision('first', 'filters', (4, 8))
  second = yield Decision('second', 'filters', (4, 8) if first == 4 else (8, 16), (first,))
  return chain(first, second)


def of_one_network():
  width = yield Decision('width', 'filters', (4,))
  return chain(width)


def forgetful():
  """What the second decision offers depends on the first, which its memory does not hold."""
  first = yield Decision('first', 'filters', (4, 8))
  second = yield Decision('second', 'filters', (4, 8) if first == 4 else (8, 16))
  return chain(first, second)


def ending():
  """Whether there is a third decision depends on the first; the second one's memory is empty."""
  first = yield Decision('first', 'filters', (4, 8))
  second = yield Decision('second', 'filters', (4, 8))
  if first == 4:
    return chain(first, second)
  third = yield Decision('third', 'filters', (4, 8))
  return chain(first, second, third)


def of_one_name():
  first = yield Decision('filters', 'filters', (4, 8), (0,))
  second = yield Decision('filters', 'filters', (4, 8), (1,))
  return chain(first, second)


@dataclasses.dataclass(eq=False)
class KeepsItsGraph:
  """Builds all networks in one graph: they grow from walk to walk."""

  graph: Graph = dataclasses.field(default_factory=Graph)
  last: int = Graph.input

  def __call__(self):
    width = yield Decision('width', 'filters', (4, 8))
    self.last = self.graph.add('conv', self.last, filters=width, stride=1, **CONV)
    return self.graph.finish(self.graph.classify(self.last))


def without_anchor():
  yield Decision('input', 'input', (0, 1), points_to=('nowhere', None))
  return chain(4)


def without_logits():
  width = yield Decision('width', 'filters', (4, 8))
  graph = Graph()
  x = graph.add('conv', graph.input, filters=width, stride=2, **CONV)
  return graph.finish(graph.add('global_avg_pool', x))


def of_one_size():
  """Adds two maps whose sides agree for images of one pixel alone."""
  width = yield Decision('width', 'filters', (4, 8))
  graph = Graph()
  maps = [graph.add('conv', graph.input, filters=width, stride=s, **CONV) for s in (1, 2)]
  return graph.finish(graph.classify(graph.add('add', *maps)))


SPACES = {
  forgetful: 'equal state means equal future: a decision of equal name and memory is the same',
  ending: 'equal state means equal future: after equal state and choice',
  of_one_name: 'names are unique within a walk',
  KeepsItsGraph(): 'equal choices give an equal network, whatever was built before',
  without_anchor: "the space compiles to a table: .* 'nowhere': no such anchor",
  without_logits: 'a network ends with one logit for each class',
  of_one_size: r'every network fits the input \(28, 28, 1\)',
}
