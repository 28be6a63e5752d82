"""A space compiled to integer tables: the states of a finite automaton and their transitions.

The pair `(name, memory)` of a decision is a state. `compile_table` explores every state once. Its
arrays suffice to compute the exact size of any space, to sample uniformly, to enumerate, to mutate,
and for the masks and transitions of the LSTM controller; a space needs no further code for these.

Glossary: S is the number of states, A the largest number of choices of a state, and END = S the
absorbing state after the last decision. A *token* is the index of a choice within its decision. A
*symbol* is a (kind, choice) pair, such as ('filters', 16). Learned weights belong to symbols, so a
deeper table of the same kinds can reuse them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Scalar
from rlnas.spaces.decision import Decision, Space
from rlnas.trial import check_value

IntArray = npt.NDArray[np.int32]
Symbol = tuple[str, str, Scalar]  # kind, type of the choice, choice; the type tells True from 1
ROOT = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """A compiled space.

  Attributes:
    space: the space, which `decode` needs.
    names: name of each state's decision; states that differ only in memory share it. Length S.
    choices: choices of each state. Length S.
    kinds: the kinds of decisions.
    anchors: names of the anchors.
    symbols: the (kind, type, choice) triples.
    kind: index into `kinds` for each state. [S]
    symbol: index into `symbols` for each choice; -1 beyond a state's last choice. [S, A]
    next: the state that each choice leads to; END after the last decision. [S, A]
    pointer: index of the anchor that each choice points at, or -1. [S, A]
    writes: index of the anchor that stores the controller's hidden vector of a state, or -1. [S]
    hold: whether the LSTM does not advance in this state. [S]
    max_length: largest number of decisions of a walk.
  """

  space: Space
  names: tuple[str, ...]
  choices: tuple[tuple[Scalar, ...], ...]
  kinds: tuple[str, ...]
  anchors: tuple[str, ...]
  symbols: tuple[Symbol, ...]
  kind: IntArray
  symbol: IntArray
  next: IntArray
  pointer: IntArray
  writes: IntArray
  hold: npt.NDArray[np.bool_]
  max_length: int

  @property
  def end(self) -> int:
    """The state after the last decision."""
    return len(self.names)

  @functools.cached_property
  def next_lists(self) -> list[list[int]]:
    """The same as `next`; single elements of a list are read ten times as fast."""
    lists: list[list[int]] = self.next.tolist()
    return lists

  @functools.cached_property
  def completions(self) -> tuple[int, ...]:
    """Exact number of walks from each state, END included, to END. Length S + 1."""
    counts = [0] * self.end + [1]
    for state in reversed(self.topological):
      counts[state] = sum(counts[self.next[state, a]] for a in range(len(self.choices[state])))
    return tuple(counts)

  @functools.cached_property
  def topological(self) -> tuple[int, ...]:
    """All states but END, in an order in which each precedes those that it leads to."""
    return _topological(self.next, [len(c) for c in self.choices])

  @property
  def size(self) -> int:
    """Number of token sequences in the space."""
    return self.completions[ROOT]


def compile_table(space: Space, *, max_states: int = 100_000) -> Table:
  """Explores every state of a space once.

  Args:
    space: the space.
    max_states: largest number of states; a space with too much memory has too many.

  Raises:
    ValueError: one state has two different decisions, a name or an anchor recurs
      within a walk, a choice points at an anchor that no decision writes, a walk ends without an
      architecture or another value that JSON can hold, or there are too many states.
  """
  decisions, edges = _explore(space, max_states)
  states = list(decisions)
  index = {state: i for i, state in enumerate(states)}
  found = list(decisions.values())
  size, most = len(found), max(len(d.choices) for d in found)
  kinds = tuple(dict.fromkeys(d.kind for d in found))
  anchors = tuple(dict.fromkeys(d.anchor for d in found if d.anchor))
  symbols = tuple(dict.fromkeys(_symbol(d, i) for d in found for i in range(len(d.choices))))
  symbol_index = {s: i for i, s in enumerate(symbols)}
  anchor_index = {name: i for i, name in enumerate(anchors)}
  symbol = np.full((size, most), -1, np.int32)
  following = np.full((size, most), size, np.int32)
  pointer = np.full((size, most), -1, np.int32)
  for s, decision in enumerate(found):
    for a, after in enumerate(edges[states[s]]):
      symbol[s, a] = symbol_index[_symbol(decision, a)]
      following[s, a] = size if after is None else index[after]
    for a, target in enumerate(decision.points_to):
      if target is not None:
        if target not in anchor_index:
          raise ValueError(f'decision {decision.name!r} points to {target!r}: no such anchor')
        pointer[s, a] = anchor_index[target]
  _check_unique(following, found)
  return Table(
    space=space,
    names=tuple(d.name for d in found),
    choices=tuple(d.choices for d in found),
    kinds=kinds,
    anchors=anchors,
    symbols=symbols,
    kind=np.array([kinds.index(d.kind) for d in found], np.int32),
    symbol=symbol,
    next=following,
    pointer=pointer,
    writes=np.array([anchor_index.get(d.anchor, -1) for d in found], np.int32),
    hold=np.array([d.hold for d in found], bool),
    max_length=_longest(following, [len(d.choices) for d in found]),
  )


def unrank(table: Table, rank: int) -> tuple[int, ...]:
  """Returns token sequence number `rank` in lexicographic order; 0 <= rank < table.size."""
  if not 0 <= rank < table.size:
    raise ValueError(f'rank={rank}: must lie in [0, {table.size})')
  tokens: list[int] = []
  state = ROOT
  while state != table.end:
    for token in range(len(table.choices[state])):
      below = table.completions[table.next[state, token]]
      if rank < below:
        break
      rank -= below
    tokens.append(token)
    state = int(table.next[state, token])
  return tuple(tokens)


def enumerate_tokens(table: Table) -> Iterator[tuple[int, ...]]:
  """Iterates over all token sequences of the space, in lexicographic order."""
  return (unrank(table, rank) for rank in range(table.size))


def sample_uniform(table: Table, rng: np.random.Generator) -> tuple[int, ...]:
  """Draws one token sequence; all of the space are exactly equally likely."""
  bits = table.size.bit_length()
  while True:  # rejection: a draw of `bits` bits is below the size in at least half of the cases
    rank = int.from_bytes(rng.bytes((bits + 7) // 8), 'big') >> (-bits % 8)
    if rank < table.size:
      return unrank(table, rank)


def states_of(table: Table, tokens: Sequence[int]) -> tuple[int, ...]:
  """Returns the states of a token sequence. Raises ValueError if it is not in the space."""
  states: list[int] = []
  state, end, following = ROOT, table.end, table.next_lists
  for position, token in enumerate(tokens):
    if state == end:
      raise ValueError(f'tokens: {len(tokens)} given, but the walk ends after {position}')
    if not 0 <= token < len(table.choices[state]):
      raise ValueError(
        f'token {token} at {table.names[state]!r}: must lie in [0, {len(table.choices[state])})'
      )
    states.append(state)
    state = following[state][token]
  if state != end:
    raise ValueError(f'tokens: {len(tokens)} given, but {table.names[state]!r} needs another')
  return tuple(states)


def choices_of(table: Table, tokens: Sequence[int]) -> dict[str, Scalar]:
  """Returns the choice at each decision by the decision's name: readable tokens."""
  states = states_of(table, tokens)
  return {table.names[s]: table.choices[s][t] for s, t in zip(states, tokens, strict=True)}


def encode(table: Table, choices: Mapping[str, Scalar]) -> tuple[int, ...]:
  """The inverse of `choices_of`.

  Raises:
    ValueError: `choices` lacks a decision of the walk, has a value that the decision does not
      offer, or has a name that is not a decision of the walk.
  """
  tokens: list[int] = []
  unused = set(choices)
  state = ROOT
  while state != table.end:
    name = table.names[state]
    if name not in choices:
      raise ValueError(f'choices: none for {name!r}; it offers {table.choices[state]}')
    if choices[name] not in table.choices[state]:
      raise ValueError(f'{name}={choices[name]!r}: must be one of {table.choices[state]}')
    unused.discard(name)
    tokens.append(table.choices[state].index(choices[name]))
    state = int(table.next[state, tokens[-1]])
  if unused:
    raise ValueError(f'choices: {sorted(unused)} belong to no decision of this walk')
  return tuple(tokens)


def mutate(table: Table, tokens: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
  """Changes one decision and replays the walk (Real et al. 2017, section 3.2, generalised).

  Every later decision keeps the choice that `tokens` has under its name, if it offers that choice;
  otherwise its choice is drawn uniformly.

  Returns:
    A token sequence of the space that differs from `tokens`; `tokens` itself if none of its
    decisions has an alternative.
  """
  states = states_of(table, tokens)
  open_positions = [i for i, s in enumerate(states) if len(table.choices[s]) > 1]
  if not open_positions:
    return tuple(tokens)
  old = choices_of(table, tokens)
  changed = open_positions[int(rng.integers(len(open_positions)))]
  result = list(tokens[:changed])
  shift = int(rng.integers(1, len(table.choices[states[changed]])))
  result.append((tokens[changed] + shift) % len(table.choices[states[changed]]))
  state = int(table.next[states[changed], result[-1]])
  while state != table.end:
    offered = table.choices[state]
    kept = old.get(table.names[state])
    if kept is not None and kept in offered:
      result.append(offered.index(kept))
    else:
      result.append(int(rng.integers(len(offered))))
    state = int(table.next[state, result[-1]])
  return tuple(result)


_State = tuple[str, tuple[object, ...]]


def _explore(
  space: Space, max_states: int
) -> tuple[dict[_State, Decision], dict[_State, list[_State | None]]]:
  """Explores breadth first; reaches each state by replaying the first prefix that led to it."""
  root = _peek(space, ())
  if root is None:
    raise ValueError('space: it makes no decision')
  prefixes: dict[_State, tuple[Scalar, ...]] = {root.state: ()}
  decisions: dict[_State, Decision] = {root.state: root}
  edges: dict[_State, list[_State | None]] = {}
  queue: list[_State] = [root.state]
  for state in queue:  # the loop appends to the queue
    edges[state] = []
    for choice in decisions[state].choices:
      prefix = (*prefixes[state], choice)
      after = _peek(space, prefix)
      edges[state].append(None if after is None else after.state)
      if after is None:
        continue
      if after.state not in decisions:
        prefixes[after.state], decisions[after.state] = prefix, after
        queue.append(after.state)
      elif decisions[after.state] != after:
        raise ValueError(
          f'state {after.state}: met as {decisions[after.state]} and as {after}; '
          'put what distinguishes them into memory'
        )
    if len(queue) > max_states:
      raise ValueError(f'space: more than {max_states} states; put less into memory')
  return decisions, edges


def _peek(space: Space, prefix: Sequence[Scalar]) -> Decision | None:
  """Returns the decision after the choices `prefix`; None at the end of the walk."""
  generator = space()
  try:
    decision = next(generator)
    for choice in prefix:
      decision = generator.send(choice)
  except StopIteration as stop:
    check_value(stop.value)
    return None
  return decision


def _symbol(decision: Decision, token: int) -> Symbol:
  choice = decision.choices[token]
  return (decision.kind, type(choice).__name__, choice)


def _topological(following: IntArray, counts: Sequence[int]) -> tuple[int, ...]:
  """Sorts states so that each precedes its successors (Kahn). Raises ValueError on a cycle."""
  end = len(counts)
  arrivals = [0] * (end + 1)
  for s in range(end):
    for a in range(counts[s]):
      arrivals[following[s, a]] += 1
  order: list[int] = []
  ready = [] if arrivals[ROOT] else [ROOT]
  while ready:
    state = ready.pop()
    order.append(state)
    for after in following[state, : counts[state]].tolist():
      arrivals[after] -= 1
      if not arrivals[after] and after != end:
        ready.append(after)
  if len(order) < end:
    raise ValueError('space: a state recurs within a walk; names must not repeat')
  return tuple(order)


def _check_unique(following: IntArray, found: Sequence[Decision]) -> None:
  """Raises ValueError if a walk can have a name, or write an anchor, twice."""
  counts = [len(d.choices) for d in found]
  bits: dict[tuple[str, str], int] = {}
  met = [0] * (len(found) + 1)  # bit mask of what any walk to each state has met
  for state in _topological(following, counts):
    own = 0
    for what, text in (('name', found[state].name), ('anchor', found[state].anchor)):
      if not text:
        continue
      bit = 1 << bits.setdefault((what, text), len(bits))
      if met[state] & bit:
        raise ValueError(
          f'decision {found[state].name!r}: its {what} {text!r} occurs twice within a walk'
        )
      own |= bit
    for after in following[state, : counts[state]].tolist():
      met[after] |= met[state] | own


def _longest(following: IntArray, counts: Sequence[int]) -> int:
  length = [0] * (len(counts) + 1)
  for state in reversed(_topological(following, counts)):
    length[state] = 1 + max(length[after] for after in following[state, : counts[state]].tolist())
  return length[ROOT]
