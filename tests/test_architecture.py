import pytest

from rlnas.architecture import Architecture, Graph, Node, TaskShape, infer_shapes, without_unread


def conv(graph: Graph, x: int, filters: int) -> int:
  return graph.add(
    'conv', x, filters=filters, kernel_height=3, kernel_width=3, stride=1, activation='relu'
  )


def test_equal_networks_have_equal_digests_however_they_were_written():
  one = Graph()
  a = conv(one, one.input, 8)
  b = conv(one, a, 8)
  first = one.finish(one.classify(one.add('add', a, b)))
  other = Graph()
  a = conv(other, other.input, 8)
  conv(other, a, 99)  # leads nowhere
  b = conv(other, a, 8)
  second = other.finish(other.classify(other.add('add', b, a)))
  assert first == second
  assert first.digest == second.digest


def test_nodes_that_the_output_does_not_depend_on_are_left_out():
  def network(*unread: Node) -> Architecture:
    shift = len(unread)
    below = (Node('input'), *unread, Node('relu', (0,)), Node('relu', (1 + shift,)))
    tail = (Node('global_avg_pool', (2 + shift,)), Node('classifier', (3 + shift,)))
    return Architecture(below + tail)

  plain = network()
  chain = network(Node('relu', (0,)), Node('relu', (1,)))  # the first is read by the second alone
  assert without_unread(plain) is plain
  assert without_unread(chain) == plain
  assert chain.digest != plain.digest == chain.digest_without_unread
  from_input = Architecture((Node('input'), Node('relu', (0,)), Node('classifier', (0,))))
  assert without_unread(from_input).nodes == (Node('input'), Node('classifier', (0,)))


def test_concatenation_keeps_its_order_and_different_networks_differ():
  def network(order: int, filters: int) -> Architecture:
    graph = Graph()
    branches = [conv(graph, graph.input, 8), conv(graph, graph.input, filters)]
    return graph.finish(graph.classify(graph.add('concat', *branches[::order])))

  assert len({network(1, 16).digest, network(-1, 16).digest, network(1, 24).digest}) == 3


def test_a_deep_network_needs_no_recursion():
  graph = Graph()
  x = graph.input
  for _ in range(5000):
    x = conv(graph, x, 1)
  assert len(graph.finish(graph.classify(x)).nodes) == 5003


def test_shared_and_separate_branches_differ():
  shared, separate = Graph(), Graph()
  x = conv(shared, shared.input, 8)
  one = shared.finish(shared.classify(shared.add('add', x, x)))
  left, right = conv(separate, separate.input, 8), conv(separate, separate.input, 8)
  two = separate.finish(separate.classify(separate.add('add', left, right)))
  assert one.digest != two.digest


def test_what_computes_the_same_value_stands_once():
  graph = Graph()
  pools = [
    graph.add('max_pool', graph.input, kernel_height=2, kernel_width=2, stride=2) for _ in range(2)
  ]
  both = [conv(graph, pool, 8) for pool in pools]  # weights of their own
  architecture = graph.finish(graph.classify(graph.add('add', *both)))
  assert [n.op for n in architecture.nodes].count('max_pool') == 1
  assert [n.op for n in architecture.nodes].count('conv') == 2


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', 'not JSON'),
    ('{}', 'first node must be the input'),
    ('[["conv",[0],{}]]', 'first node must be the input'),
    ('[["input",[],{}],["magic",[0],{}]]', "unknown op 'magic'"),
    ('[["input",[],{}],["conv",[0],{"filters":8}]]', 'attributes'),
    ('[["input",[],{}],["add",[0],{}]]', '1 inputs'),
    ('[["input",[],{}],["global_avg_pool",[1],{}]]', 'precede'),
    ('[["input",[],{}],["max_pool",[0],{"kernel_height":0,"kernel_width":2,"stride":2}]]', '=0'),
    ('[["input"]]', 'not a list of'),
  ],
)
def test_malformed_json_is_refused_with_its_reason(text, message):
  with pytest.raises(ValueError, match=message):
    Architecture.from_json(text)


def test_adding_different_shapes_is_refused():
  graph = Graph()
  a, b = conv(graph, graph.input, 8), conv(graph, graph.input, 16)
  architecture = graph.finish(graph.classify(graph.add('add', a, b)))
  with pytest.raises(ValueError, match='add of different shapes'):
    infer_shapes(architecture, TaskShape((8, 8, 1), 10))


def test_a_node_tells_its_attributes():
  node = Node('max_pool', (0,), (('kernel_height', 2), ('kernel_width', 3), ('stride', 2)))
  assert node['kernel_width'] == 3
  with pytest.raises(KeyError):
    _ = node['filters']
