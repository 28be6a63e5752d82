"""A space compiled to integer tables: the states of a finite automaton and their transitions.

`(name, memory)` of a decision is a state. `compile_table` explores every state once; from the
arrays alone follow the exact size of the space, uniform sampling, enumeration, mutation, and the
masks and transitions that the LSTM controller gathers from, for every space without further code.

Glossary: S states, A the most choices of a state, END = S the absorbing state after the last
decision. A *token* is the index of a choice within its decision. A *symbol* is a (kind, choice)
pair, such as ('filters', 16): what learned weights belong to, so that they survive in a deeper
table of the same kinds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, Scalar
from rlnas.spaces.decision import Decision, Space

IntArray = npt.NDArray[np.int32]
Symbol = tuple[str, str, Scalar]  # kind, type of the choice, choice: True and 1 stay apart
ROOT = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """A compiled space.

  Attributes:
    space: what it was compiled from; `decode` needs it.
    names: name of each state's decision; states that differ in memory alone share it.
    choices: choices of each state.
    kinds: the kinds of decisions.
    anchors: names of the anchors.
    symbols: the (kind, type, choice) triples.
    kind: index into `kinds`. [S]
    symbol: index into `symbols`, -1 where a state has fewer choices. [S, A]
    next: the state that a choice leads to, END = S. [S, A]
    pointer: the anchor that a choice points at, or -1. [S, A]
    writes: the anchor that the state's hidden vector is remembered as, or -1. [S]
    hold: whether the LSTM stands still in this state. [S]
    max_length: most decisions of a walk.
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
  def completions(self) -> tuple[int, ...]:
    """Number of walks from each state to the end, END included, exact. Length S + 1."""
    counts = [0] * self.end + [1]
    for state in reversed(self.topological):
      counts[state] = sum(counts[self.next[state, a]] for a in range(len(self.choices[state])))
    return tuple(counts)

  @functools.cached_property
  def topological(self) -> tuple[int, ...]:
    """All states but END, each before those that it leads to."""
    return _topological(self.next, [len(c) for c in self.choices])

  @property
  def size(self) -> int:
    """Number of token sequences in the space."""
    return self.completions[ROOT]


def compile_table(space: Space, *, max_states: int = 100_000) -> Table:
  """Explores every state of a space once.

  Args:
    space: the space.
    max_states: where to give up: a space with too much memory has too many states.

  Raises:
    ValueError: the same state was met with two different decisions, a name or an anchor recurs
      within a walk, a choice points at an anchor that no decision writes, a walk ends without an
      architecture, or there are too many states.
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
  """The token sequence number `rank` in lexicographic order, 0 <= rank < table.size."""
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
  """Every token sequence of the space, in lexicographic order."""
  return (unrank(table, rank) for rank in range(table.size))


def sample_uniform(table: Table, rng: np.random.Generator) -> tuple[int, ...]:
  """One token sequence, each of the space being exactly equally likely."""
  bits = table.size.bit_length()
  while True:  # rejection: a draw of so many bits is below the size in at least half of the cases
    rank = int.from_bytes(rng.bytes((bits + 7) // 8), 'big') >> (-bits % 8)
    if rank < table.size:
      return unrank(table, rank)


def states_of(table: Table, tokens: Sequence[int]) -> tuple[int, ...]:
  """The states that a token sequence passes. Raises ValueError where it is not in the space."""
  states: list[int] = []
  state = ROOT
  for position, token in enumerate(tokens):
    if state == table.end:
      raise ValueError(f'tokens: {len(tokens)} given, but the walk ends after {position}')
    if not 0 <= token < len(table.choices[state]):
      raise ValueError(
        f'token {token} at {table.names[state]!r}: must lie in [0, {len(table.choices[state])})'
      )
    states.append(state)
    state = int(table.next[state, token])
  if state != table.end:
    raise ValueError(f'tokens: {len(tokens)} given, but {table.names[state]!r} asks for another')
  return tuple(states)


def choices_of(table: Table, tokens: Sequence[int]) -> dict[str, Scalar]:
  """What was chosen at each decision, by its name: the genotype for people."""
  states = states_of(table, tokens)
  return {table.names[s]: table.choices[s][t] for s, t in zip(states, tokens, strict=True)}


def encode(table: Table, choices: Mapping[str, Scalar]) -> tuple[int, ...]:
  """The inverse of `choices_of`.

  Raises:
    ValueError: a decision of the walk has no choice, or one that it does not offer, or a choice
      belongs to no decision of the walk.
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

  Every later decision keeps its old choice by name where that is still on offer; a decision that
  is new, or whose old choice is gone, is drawn uniformly.

  Returns:
    A token sequence of the space that differs from `tokens`; `tokens` itself where the space has
    but one walk.
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
  """Breadth first from the root; a state is reached by replaying the first prefix that met it."""
  root = _peek(space, ())
  if root is None:
    raise ValueError('space: it makes no decision')
  prefixes: dict[_State, tuple[Scalar, ...]] = {root.state: ()}
  decisions: dict[_State, Decision] = {root.state: root}
  edges: dict[_State, list[_State | None]] = {}
  queue: list[_State] = [root.state]
  for state in queue:  # grows while it is read
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
  """The decision after the choices `prefix`, None at the end."""
  generator = space()
  try:
    decision = next(generator)
    for choice in prefix:
      decision = generator.send(choice)
  except StopIteration as stop:
    if not isinstance(stop.value, Architecture):
      raise ValueError(f'space: a walk returned {stop.value!r}: must be an Architecture') from None
    return None
  return decision


def _symbol(decision: Decision, token: int) -> Symbol:
  choice = decision.choices[token]
  return (decision.kind, type(choice).__name__, choice)


def _topological(following: IntArray, counts: Sequence[int]) -> tuple[int, ...]:
  """States so that each precedes those that it leads to (Kahn). Raises ValueError on a cycle."""
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
  """Raises ValueError where a walk can meet a name, or write an anchor, twice."""
  counts = [len(d.choices) for d in found]
  bits: dict[tuple[str, str], int] = {}
  met = [0] * (len(found) + 1)  # before each state, on any walk that leads there, as bit masks
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
