import collections

import pytest

from rlnas.architecture import Node
from rlnas.spaces.decision import decode
from rlnas.spaces.nasbench201 import EDGES, OPERATIONS, NasBench201, record
from rlnas.spaces.table import compile_table, encode, enumerate_tokens
from rlnas.trial import Proposal

TABLE = compile_table(NasBench201())


def test_the_space_has_the_cells_of_the_benchmark_in_one_state_an_edge():
  assert TABLE.size == 5**6 == 15_625
  assert TABLE.end == len(TABLE.kinds) == 6


@pytest.mark.slow
def test_every_cell_has_a_digest_of_its_own_but_proposals_of_one_function_share_theirs():
  cells = [decode(TABLE.space, tokens) for tokens in enumerate_tokens(TABLE)]
  assert len({cell.digest for cell in cells}) == TABLE.size
  shared = collections.Counter(Proposal((), cell).digest for cell in cells)
  # A way of two edges through either of the points between, 16 in all, without a direct edge or
  # with one of 4; a direct edge alone; and no way, which leaves the image.
  assert sorted(shared.values()) == [1] * 9280 + [58] * (16 + 16 * 4) + [341] * (4 + 1)


def test_an_edge_without_a_way_to_the_output_does_not_count():
  def digest(*operations: str) -> str:
    return Proposal((), record(operations)).digest

  conv, pool, none = 'nor_conv_3x3', 'avg_pool_3x3', 'none'
  alone = digest(none, none, none, conv, none, none)
  assert alone == digest(none, none, pool, conv, conv, pool)  # nothing leads to points 1 and 2
  assert alone == digest(pool, conv, pool, conv, none, none)  # nothing leads from them
  assert alone != digest(pool, none, none, conv, pool, none)


def test_tokens_are_indices_of_operations():
  chosen = dict(zip(TABLE.names, [*OPERATIONS, 'none'], strict=True))
  assert encode(TABLE, chosen) == (0, 1, 2, 3, 4, 0)
  assert decode(TABLE.space, (0, 1, 2, 3, 4, 0)) == record([*OPERATIONS, 'none'])


def test_a_point_sums_the_edges_that_lead_to_it():
  cell = ['nor_conv_3x3', 'skip_connect', 'nor_conv_1x1', 'none', 'avg_pool_3x3', 'skip_connect']
  nodes = record(cell).nodes
  operations = [node.op for node in nodes]
  assert operations == [
    *('input', 'conv', 'conv'),  # 2: edge 0-1
    *('avg_pool', 'conv', 'add'),  # 3: edge 0-2, 4: edge 1-2
    *('relu', 'avg_pool', 'avg_pool', 'add'),  # 6: edge 0-3, 7: edge 1-3, 8: edge 2-3
    *('global_avg_pool', 'classifier'),
  ]
  assert [node.inputs for node in nodes[2:]] == [
    *((1,), (1,), (2,), (3, 4)),
    *((1,), (2,), (5,), (7, 8)),
    *((9,), (10,)),
  ]
  sides = [nodes[i]['kernel_height'] for i in (2, 3, 4, 7, 8)]
  assert sides == [3, 1, 1, 3, 1]


def test_edges_out_of_a_point_without_value_read_the_image_and_nothing_reads_them():
  nodes = record(['none', 'none', 'nor_conv_3x3', 'none', 'skip_connect', 'avg_pool_3x3']).nodes
  assert [node.inputs for node in nodes[2:8]] == [(1,), (1,), (0,), (1,), (0,), (0,)]
  assert nodes[8:] == (Node('global_avg_pool', (0,)), Node('classifier', (8,)))


@pytest.mark.parametrize('operations', [['none'] * 5, ['none'] * (len(EDGES) - 1) + ['conv']])
def test_what_is_no_cell_is_refused(operations):
  with pytest.raises(ValueError, match='must be 6 of'):
    record(operations)
