"""Places the boxes and lines of a layered drawing (Sugiyama, Tagawa & Toda 1981).

Every vertex gets a rank, its row, so that edges point downward. An edge that passes rows gets a
lane in each of them, between the boxes and not behind them. `igraph` chooses the ranks so that
edges are short, the order within rows so that few edges cross, and columns so that long lines are
straight (Brandes & Koepf 2001). Its columns have unit distances; here they are moved apart, as far
as the boxes in them are wide.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import igraph

Edge = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Layout:
  """Places in a layered drawing, in the unit of the widths.

  Attributes:
    ranks: row of each vertex, 0 on top.
    x: centre of each vertex; 0 is the left border of the drawing.
    lanes: for each edge the centres of its lanes, in the rows between those of its ends.
    width: width of the whole drawing.
  """

  ranks: tuple[int, ...]
  x: tuple[float, ...]
  lanes: tuple[tuple[float, ...], ...]
  width: float


def place(edges: Sequence[Edge], widths: Sequence[float], *, lane_width: float) -> Layout:
  """Places the vertices 0, 1, ... of an acyclic graph.

  Edges from one vertex share their lanes as long as they have the same rows.

  Args:
    edges: (from, to) of each edge, without repetition.
    widths: width of each vertex, with the free space beside it.
    lane_width: width of a lane, with the free space beside it.

  Raises:
    ValueError: an edge repeats, leads out of the graph or is part of a cycle.
  """
  graph = igraph.Graph(len(widths), _checked(edges, len(widths)), directed=True)
  if not graph.is_dag():
    raise ValueError(f'edges={edges}: must have no cycle')
  ranks = [round(y) for _, y in graph.layout_sugiyama().coords[: len(widths)]]
  lanes = _lanes(edges, ranks)
  short, all_ranks = _short_edges(edges, ranks, lanes)
  all_widths = [*widths, *[lane_width] * len(lanes)]
  whole = igraph.Graph(len(all_ranks), short, directed=True)
  coordinates = whole.layout_sugiyama(layers=all_ranks, maxiter=200).coords
  x = _spread([round(x, 6) for x, _ in coordinates], all_ranks, all_widths)
  routes = tuple(
    tuple(x[lanes[u, rank]] for rank in range(ranks[u] + 1, ranks[v])) for u, v in edges
  )
  width = max(a + b / 2 for a, b in zip(x, all_widths, strict=True))
  return Layout(tuple(ranks), tuple(x[: len(widths)]), routes, width)


def _checked(edges: Sequence[Edge], vertices: int) -> Sequence[Edge]:
  if len(set(edges)) < len(edges) or any(not 0 <= end < vertices for e in edges for end in e):
    raise ValueError(f'edges={edges}: must be distinct, between vertices 0 to {vertices - 1}')
  return edges


def _lanes(edges: Sequence[Edge], ranks: Sequence[int]) -> dict[tuple[int, int], int]:
  """Numbers of the lanes, after those of the vertices, by (source, rank)."""
  lowest: dict[int, int] = {}
  for u, v in edges:
    lowest[u] = max(lowest.get(u, 0), ranks[v])
  keys = [(u, rank) for u, end in lowest.items() for rank in range(ranks[u] + 1, end)]
  return {key: len(ranks) + i for i, key in enumerate(keys)}


def _short_edges(
  edges: Sequence[Edge], ranks: Sequence[int], lanes: dict[tuple[int, int], int]
) -> tuple[list[Edge], list[int]]:
  """The graph with lanes as vertices: edges from row to row, and the rank of each vertex."""
  short = [(lanes.get((u, rank - 1), u), lane) for (u, rank), lane in lanes.items()]
  short += [(lanes.get((u, ranks[v] - 1), u), v) for u, v in edges]
  return short, [*ranks, *(rank for _, rank in lanes)]


def _spread(x: Sequence[float], ranks: Sequence[int], widths: Sequence[float]) -> list[float]:
  """Centres of the vertices: columns as near to each other as the widths in every row allow.

  A column that may move lies in the middle between its places farthest left and farthest right.
  """
  order = sorted(range(len(x)), key=lambda v: (ranks[v], x[v]))
  rows = [list(row) for _, row in itertools.groupby(order, key=lambda v: ranks[v])]
  # igraph sometimes places two vertices of a row in one column: the second gets one of its own.
  column = {
    v: (x[v], [x[u] for u in row[:i]].count(x[v])) for row in rows for i, v in enumerate(row)
  }
  beside = [pair for row in rows for pair in itertools.pairwise(row)]
  before, after = {b: a for a, b in beside}, dict(beside)
  order.sort(key=lambda v: column[v])

  def places(order: Sequence[int], neighbour: dict[int, int]) -> dict[tuple[float, int], float]:
    """The distance of each column from the border at which `order` begins."""
    found: dict[tuple[float, int], float] = {}
    for key, group in itertools.groupby(order, key=lambda v: column[v]):
      found[key] = max(
        widths[v] / 2
        + (found[column[n]] + widths[n] / 2 if (n := neighbour.get(v)) is not None else 0.0)
        for v in group
      )
    return found

  left, right = places(order, before), places(order[::-1], after)
  width = max(left[column[v]] + widths[v] / 2 for v in order)
  return [(left[column[v]] + width - right[column[v]]) / 2 for v in range(len(x))]
