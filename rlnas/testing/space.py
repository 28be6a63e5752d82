"""The rules that every search space must keep (`rlnas.spaces.decision.Space`)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from rlnas.architecture import Architecture, TaskShape, infer_shapes
from rlnas.cost.preprocessing import preprocessing_of
from rlnas.spaces.decision import Decision, Space, decode, walk
from rlnas.spaces.table import (
  Table,
  choices_of,
  compile_table,
  encode,
  enumerate_tokens,
  mutate,
  sample_uniform,
  states_of,
)
from rlnas.testing.rules import require
from rlnas.trial import Measurement, Proposal, Status, Trial

_WALKS = 200
_MOST_ENUMERATED = 20_000  # token sequences

# The decisions of a walk, its tokens, and what it returns.
Walk = tuple[tuple[Decision, ...], tuple[int, ...], Any]


def check_space(
  space: Space, input_shape: tuple[int, ...] | None, *, small: Space | None = None
) -> None:
  """Runs the whole suite.

  Args:
    space: the space.
    input_shape: shape of an example: (height, width, channels), or (frames, features); None for a
      space that does not return architectures.
    small: the space with options that give at most 20,000 token sequences, to be enumerated; by
      default `space` itself if it is that small, otherwise nothing is enumerated.

  Raises:
    AssertionError: a rule is broken; the message names it.
    ValueError: `small` has more token sequences.
  """
  walks = random_walks(space)
  check_equal_state_means_equal_future(walks)
  check_names_are_unique_within_a_walk(walks)
  check_equal_choices_give_an_equal_network(space, walks)
  table = _compiled(space)
  check_table_agrees_with_generator(table, walks)
  check_round_trips(table)
  check_mutation(table)
  if input_shape is not None:
    check_shapes(space, input_shape, walks)
  enumerated = table if small is None else _compiled(small)
  if enumerated.size <= _MOST_ENUMERATED:
    check_count_equals_enumeration(enumerated)
  elif small is not None:
    raise ValueError(f'small: {enumerated.size} sequences: must be at most {_MOST_ENUMERATED}')


def random_walks(space: Space) -> list[Walk]:
  """Draws walks of a space, always the same ones."""
  rng = np.random.default_rng(0)
  return [walk(space, lambda d: int(rng.integers(len(d.choices)))) for _ in range(_WALKS)]


def check_equal_state_means_equal_future(walks: Sequence[Walk]) -> None:
  """Decisions of equal state, and the ones after them, are equal. Raises AssertionError.

  It uses random walks, which may miss rare states.
  """
  rule = 'equal state means equal future: a decision of equal name and memory is the same'
  next_rule = 'equal state means equal future: after equal state and choice comes the same decision'
  seen: dict[Hashable, Decision] = {}
  followed: dict[Hashable, Decision | None] = {}
  for decisions, tokens, _ in walks:
    after = [*decisions[1:], None]
    for decision, token, following in zip(decisions, tokens, after, strict=True):
      known = seen.setdefault(decision.state, decision)
      require(known == decision, rule, once=known, now=decision)
      next_known = followed.setdefault((decision.state, token), following)
      require(next_known == following, next_rule, once=next_known, now=following, after=decision)


def check_names_are_unique_within_a_walk(walks: Sequence[Walk]) -> None:
  """No two decisions of a walk share a name. Raises AssertionError."""
  for decisions, _, _ in walks:
    names = [decision.name for decision in decisions]
    require(len(set(names)) == len(names), 'names are unique within a walk', names=names)


def check_equal_choices_give_an_equal_network(space: Space, walks: Sequence[Walk]) -> None:
  """Walks leave nothing behind: a space that keeps its graph fails. Raises AssertionError."""
  for _, tokens, value in walks:
    again = decode(space, tokens)
    rule = 'equal choices give an equal network, whatever was built before'
    require(again == value, rule, tokens=tokens)


def check_table_agrees_with_generator(table: Table, walks: Sequence[Walk]) -> None:
  """The compiled table equals what the generator yields. Raises AssertionError."""
  for decisions, tokens, _ in walks:
    for state, decision in zip(states_of(table, tokens), decisions, strict=True):
      _check_state(table, state, decision)


def _check_state(table: Table, state: int, decision: Decision) -> None:
  written = table.writes[state]
  found = (
    table.names[state],
    table.choices[state],
    table.kinds[table.kind[state]],
    bool(table.hold[state]),
    table.anchors[written] if written >= 0 else '',
  )
  expected = (decision.name, decision.choices, decision.kind, decision.hold, decision.anchor)
  require(found == expected, 'the table agrees with the generator', table=found, space=expected)
  for token, choice in enumerate(decision.choices):
    target = table.pointer[state, token]
    option = (
      table.symbols[table.symbol[state, token]],
      table.anchors[target] if target >= 0 else None,
    )
    symbol = (decision.kind, type(choice).__name__, choice)
    wanted = (symbol, decision.points_to[token] if decision.points_to else None)
    rule = 'the table agrees with the generator on what a choice means and points at'
    require(option == wanted, rule, table=option, space=wanted)
  rest = table.symbol[state, len(decision.choices) :]
  require(bool((rest == -1).all()), 'the table offers no further choices', state=decision.name)


def check_count_equals_enumeration(table: Table) -> None:
  """The size of a space is the number of its walks, all different. Raises AssertionError.

  Args:
    table: of a space small enough to enumerate.
  """
  walks = list(enumerate_tokens(table))
  distinct = len(set(walks))
  rule = 'the size of the space is the number of its walks'
  require(len(walks) == distinct == table.size, rule, walks=distinct, size=table.size)
  longest = max(map(len, walks))
  rule = 'max_length is the length of the longest walk'
  require(longest == table.max_length, rule, longest=longest, max_length=table.max_length)
  for tokens in walks:
    require(states_of(table, tokens)[0] == 0, 'walks start at the root', tokens=tokens)


def check_round_trips(table: Table) -> None:
  """Tokens to choices and back, networks to JSON and back, exactly. Raises AssertionError."""
  rng = np.random.default_rng(1)
  for _ in range(_WALKS):
    tokens = sample_uniform(table, rng)
    encoded = encode(table, choices_of(table, tokens))
    require(encoded == tokens, 'choices by name give the tokens back', tokens=tokens, back=encoded)
    proposal = Proposal(tokens, decode(table.space, tokens))
    trial = Trial(0, 0, 0, proposal, Measurement(Status.COMPLETE), 0.0)
    again = Trial.from_json(trial.to_json()).proposal
    require(
      again.value == proposal.value
      and hash(again.value) == hash(proposal.value)
      and again.digest == proposal.digest,
      'a network is the same after JSON, with its digest and hash',
      tokens=tokens,
    )


def check_mutation(table: Table) -> None:
  """Mutants are in the space, differ, and change any decision. Raises AssertionError.

  If a certain one of n decisions is changed first with probability 1 / n, all of 20 n mutants miss
  it with probability e^-20.
  """
  if table.size == 1:
    return  # there are no mutants
  rng = np.random.default_rng(2)
  tokens = sample_uniform(table, rng)
  for _ in range(_WALKS):
    mutant = mutate(table, tokens, rng)
    states_of(table, mutant)
    decode(table.space, mutant)
    require(mutant != tokens, 'a mutant differs from its parent', parent=tokens)
    tokens = mutant
  old = choices_of(table, tokens)
  free = {table.names[s] for s in states_of(table, tokens) if len(table.choices[s]) > 1}
  first = set()
  for _ in range(20 * len(free)):
    new = choices_of(table, mutate(table, tokens, rng))
    first.add(next(name for name in old if new.get(name) != old[name]))
  require(first == free, 'mutation reaches every decision', reached=first, free=free)


def check_shapes(space: Space, input_shape: tuple[int, ...], walks: Sequence[Walk]) -> None:
  """Every network has valid shapes; without preprocessing for any image, down to one pixel.

  Args:
    space: the space.
    input_shape: as for `check_space`.
    walks: walks of the space.

  Raises:
    AssertionError: a walk returns no architecture, or one that has no valid shapes or does not end
      with one logit for each class, or with the shape of the input if it reconstructs.
  """
  sequence = len(input_shape) == 2  # the space fixes the length of a sequence
  for _, tokens, architecture in walks:
    rule = 'a walk ends with an Architecture (of other values there is no input_shape)'
    require(isinstance(architecture, Architecture), rule, found=architecture)
    is_fixed = sequence or preprocessing_of(architecture) is not None
    for shape in (input_shape, input_shape if is_fixed else (1, 1, input_shape[-1])):
      outputs = (math.prod(shape),) if getattr(space, 'reconstructs', False) else (2, 100)
      for classes in outputs:
        _check_shapes(tokens, architecture, shape, classes)


def _check_shapes(
  tokens: tuple[int, ...], architecture: Architecture, shape: tuple[int, ...], classes: int
) -> None:
  try:
    shapes = infer_shapes(architecture, TaskShape(shape, classes))
  except ValueError as error:
    raise AssertionError(
      f'every network fits the input {shape}; found {tokens}: {error}'
    ) from error
  rule = 'a network ends with one logit for each class'
  wanted: tuple[int, ...] = (classes,)
  if architecture.nodes[-1].op == 'reconstruction':
    rule, wanted = 'a reconstruction has the shape of the input', shape
  require(shapes[-1] == wanted, rule, tokens=tokens, shape=shapes[-1])
  rule = 'no dimension of a network is below 1'
  require(min(min(value) for value in shapes) >= 1, rule, tokens=tokens, shapes=shapes)


def _compiled(space: Space) -> Table:
  try:
    return compile_table(space)
  except ValueError as error:
    raise AssertionError(f'the space compiles to a table: {error}') from error
