"""Places the boxes and lines of a layered drawing (Sugiyama, Tagawa & Toda 1981).

Every vertex gets a rank, its row, so that edges point downward. An edge that passes rows gets a
lane in each of them, between the boxes and not behind them. `igraph` chooses the ranks so that
edges are short, and the order within rows so that few edges cross. The places within a row solve a
linear programme: it minimises the sum of horizontal lengths and keeps a distance between
neighbours; lines that continue through a row have the largest weight, so that they are straight
(Gansner et al. 1993, A Technique for Drawing Directed Graphs, section 4).
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import igraph
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

Edge = tuple[int, int]

# Weight of the length of an edge, by the number of its ends at which the line continues alone: in a
# lane or into a vertex that has no other edge on that side (after section 4.1 of Gansner et al.).
_WEIGHTS = (1.0, 2.0, 8.0)
# Weight of a vertex's distance from the middle of its neighbours: decides between equal lengths.
_CENTERING = 0.1


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
  x = _solve(short, _rows(short, all_ranks), all_widths, vertices=len(widths))
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


def _rows(edges: Sequence[Edge], ranks: Sequence[int]) -> list[list[int]]:
  """The vertices of each row from left to right."""
  graph = igraph.Graph(len(ranks), edges, directed=True)
  coordinates = graph.layout_sugiyama(layers=list(ranks), maxiter=200).coords
  order = sorted(range(len(ranks)), key=lambda v: (ranks[v], coordinates[v][0]))
  return [list(row) for _, row in itertools.groupby(order, key=lambda v: ranks[v])]


def _solve(
  edges: Sequence[Edge], rows: Sequence[Sequence[int]], widths: Sequence[float], *, vertices: int
) -> list[float]:
  """Centres of all vertices; those with numbers of at least `vertices` are lanes."""
  leaving = collections.Counter(u for u, _ in edges)
  entering = collections.Counter(v for _, v in edges)
  lengths = []
  for u, v in edges:
    runs_on = [u >= vertices or leaving[u] == 1, v >= vertices or entering[v] == 1]
    lengths.append(({u: 1.0, v: -1.0}, _WEIGHTS[sum(runs_on)]))
  lengths += [(form, _CENTERING) for form in _off_center(edges, vertices)]
  n = len(widths)
  # A length |f(x)| is a variable of its own, at least f(x) and at least -f(x).
  constraints: list[tuple[dict[int, float], float]] = []
  for i, (form, _) in enumerate(lengths):
    for sign in (1.0, -1.0):
      constraints.append(({n + i: -1.0} | {v: sign * c for v, c in form.items()}, 0.0))
  for row in rows:
    for a, b in itertools.pairwise(row):
      constraints.append(({a: 1.0, b: -1.0}, -(widths[a] + widths[b]) / 2))
  entries = [(i, v, c) for i, (form, _) in enumerate(constraints) for v, c in form.items()]
  if not entries:
    return [width / 2 for width in widths]
  row_index, column, value = zip(*entries, strict=True)
  solution = linprog(
    [0.0] * n + [weight for _, weight in lengths],
    A_ub=coo_matrix((value, (row_index, column)), shape=(len(constraints), n + len(lengths))),
    b_ub=[bound for _, bound in constraints],
    bounds=[(width / 2, None) for width in widths] + [(0, None)] * len(lengths),
    method='highs',
  )
  if solution.x is None:  # never seen: there is always room to the right
    raise RuntimeError(f'layout of {vertices} vertices: {solution.message}')
  x = np.round(solution.x[:n], 4)
  left = min(a - b / 2 for a, b in zip(x, widths, strict=True))
  return [float(a - left) for a in x]


def _off_center(edges: Sequence[Edge], vertices: int) -> list[dict[int, float]]:
  """The distance of each vertex from the mean of those that it reads, and of those that read it."""
  above: dict[int, list[int]] = {}
  below: dict[int, list[int]] = {}
  for u, v in edges:
    above.setdefault(v, []).append(u)
    below.setdefault(u, []).append(v)
  return [
    {v: 1.0} | {neighbour: -1 / len(group) for neighbour in group}
    for side in (above, below)
    for v, group in side.items()
    if v < vertices and len(group) > 1
  ]
