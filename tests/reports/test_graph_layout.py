import itertools

import numpy as np
import pytest

from rlnas.reports.graph_layout import place

LANE = 0.2
DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]


def test_ranks_go_down_and_no_row_overlaps():
  widths = [1.0, 2.0, 0.5, 1.0]
  layout = place(DIAMOND, widths, lane_width=LANE)
  assert layout.ranks == (0, 1, 1, 2)
  lanes = dict(zip(DIAMOND, layout.lanes, strict=True))
  assert {edge for edge, way in lanes.items() if way} == {(0, 3)}
  row = sorted([(layout.x[1], 2.0), (layout.x[2], 0.5), (*lanes[0, 3], LANE)])
  for (a, wide_a), (b, wide_b) in itertools.pairwise(row):
    assert b - a >= (wide_a + wide_b) / 2 - 1e-3
  borders = [x - w / 2 for x, w in row] + [layout.x[0] - 0.5, layout.x[3] - 0.5]
  assert min(borders) == pytest.approx(0, abs=1e-3)
  assert max(x + w / 2 for x, w in row) <= layout.width


def test_edges_of_one_source_share_their_lanes():
  chain = [(i, i + 1) for i in range(5)]
  layout = place([*chain, (0, 3), (0, 5)], [1.0] * 6, lane_width=LANE)
  short, long = layout.lanes[-2:]
  assert (len(short), len(long)) == (2, 4)
  assert long[:2] == short


def test_a_chain_is_straight():
  layout = place([(0, 1), (1, 2)], [1.0, 3.0, 2.0], lane_width=LANE)
  assert layout.x == pytest.approx([1.5, 1.5, 1.5])
  assert layout.width == pytest.approx(3.0)


def test_one_vertex():
  assert place([], [2.0], lane_width=LANE).x == (1.0,)


@pytest.mark.parametrize(
  ('edges', 'rule'),
  [([(0, 1), (0, 1)], 'distinct'), ([(0, 2)], 'vertices 0 to 1'), ([(0, 1), (1, 0)], 'cycle')],
)
def test_bad_edges_are_refused(edges, rule):
  with pytest.raises(ValueError, match=rule):
    place(edges, [1.0, 1.0], lane_width=LANE)


def test_nothing_overlaps_whatever_the_graph():
  rng = np.random.default_rng(0)
  for count in range(2, 32):
    tree = [(int(rng.integers(v)), v) for v in range(1, count)]
    others = [tuple(sorted(map(int, rng.choice(count, 2, replace=False)))) for _ in range(count)]
    edges = sorted({*tree, *others})
    widths = rng.uniform(0.3, 3, count)
    layout = place(edges, list(widths), lane_width=LANE)
    rows: dict[int, set[tuple[float, float, int]]] = {}
    for v, (x, rank) in enumerate(zip(layout.x, layout.ranks, strict=True)):
      rows.setdefault(rank, set()).add((x, widths[v], v))
    for (u, _), way in zip(edges, layout.lanes, strict=True):
      for rank, x in enumerate(way, start=layout.ranks[u] + 1):
        rows[rank].add((x, LANE, count + u))  # edges of one source share a lane
    for row in map(sorted, rows.values()):
      assert row[0][0] - row[0][1] / 2 > -1e-6
      assert row[-1][0] + row[-1][1] / 2 < layout.width + 1e-6
      for (a, wide_a, _), (b, wide_b, _) in itertools.pairwise(row):
        assert b - a > (wide_a + wide_b) / 2 - 1e-6
