import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.child.widths import widened, with_widths
from tests.child.test_builder import map_network, recurrent_network, small_network


def test_all_widths_are_multiplied():
  for make, shape in ((map_network, (9, 8, 2)), (recurrent_network, (6, 3))):
    narrow = infer_shapes(make(), TaskShape(shape, 7))
    wide = infer_shapes(widened(make(), 3), TaskShape(shape, 7))
    inner = [(a, b) for a, b in zip(narrow, wide, strict=True) if a != b]
    assert len(inner) > 5
    assert all(b == (*a[:-1], 3 * a[-1]) for a, b in inner)
    assert (wide[0], wide[-1]) == (shape, (7,))


def test_single_nodes_get_other_widths():
  changed = with_widths(small_network(4), {1: 6})
  assert changed == small_network(6)
  with pytest.raises(ValueError, match='node 2 is a depthwise_conv, which has no width'):
    with_widths(small_network(), {2: 6})
  with pytest.raises(ValueError, match='filters=0'):
    with_widths(small_network(), {1: 0})
