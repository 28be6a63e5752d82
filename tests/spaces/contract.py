"""What every search space must hold. A new space passes by adding one line to `SPACES`."""

import numpy as np

from rlnas.architecture import Architecture, TaskShape, infer_shapes
from rlnas.spaces.decision import Decision, Space, decode, walk
from rlnas.spaces.table import (
  Table,
  choices_of,
  encode,
  enumerate_tokens,
  mutate,
  sample_uniform,
  states_of,
)

WALKS = 200


def random_walks(space: Space, seed: int = 0):
  rng = np.random.default_rng(seed)
  for _ in range(WALKS):
    yield walk(space, lambda d: int(rng.integers(len(d.choices))))


def check_equal_state_means_equal_future(space: Space):
  """Whole decisions, and the states that they lead to, agree wherever the state agrees."""
  seen: dict = {}
  for decisions, tokens, _ in random_walks(space):
    after = [*decisions[1:], None]
    for decision, token, following in zip(decisions, tokens, after, strict=True):
      assert seen.setdefault(decision.state, decision) == decision
      assert seen.setdefault((decision.state, token), following) == following


def check_names_are_unique_within_a_walk(space: Space):
  for decisions, _, _ in random_walks(space):
    assert len({d.name for d in decisions}) == len(decisions)


def check_table_agrees_with_generator(space: Space, table: Table):
  for decisions, tokens, _ in random_walks(space):
    for state, decision in zip(states_of(table, tokens), decisions, strict=True):
      assert_state_is(table, state, decision)


def assert_state_is(table: Table, state: int, decision: Decision):
  assert table.names[state] == decision.name
  assert table.choices[state] == decision.choices
  assert table.kinds[table.kind[state]] == decision.kind
  assert table.hold[state] == decision.hold
  written = table.writes[state]
  assert (table.anchors[written] if written >= 0 else '') == decision.anchor
  for token, choice in enumerate(decision.choices):
    kind, type_name, value = table.symbols[table.symbol[state, token]]
    assert (kind, type_name, value) == (decision.kind, type(choice).__name__, choice)
    target = table.pointer[state, token]
    expected = decision.points_to[token] if decision.points_to else None
    assert (table.anchors[target] if target >= 0 else None) == expected
  assert (table.symbol[state, len(decision.choices) :] == -1).all()


def check_count_equals_enumeration(table: Table):
  """For spaces small enough to enumerate."""
  walks = list(enumerate_tokens(table))
  assert len(walks) == len(set(walks)) == table.size
  assert max(map(len, walks)) == table.max_length
  for tokens in walks:
    assert states_of(table, tokens)[0] == 0


def check_round_trips(table: Table):
  rng = np.random.default_rng(1)
  for _ in range(WALKS):
    tokens = sample_uniform(table, rng)
    assert encode(table, choices_of(table, tokens)) == tokens
    architecture = decode(table.space, tokens)
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert again.digest == architecture.digest


def check_mutation(table: Table):
  """Mutants are in the space, differ from their parent, and mutation reaches every decision.

  Where a walk of n decisions has a chance of 1 / n that a certain one is changed first, 20 n
  mutants miss it once in e^20.
  """
  rng = np.random.default_rng(2)
  tokens = sample_uniform(table, rng)
  for _ in range(WALKS):
    mutant = mutate(table, tokens, rng)
    assert states_of(table, mutant)
    decode(table.space, mutant)
    assert mutant != tokens
    tokens = mutant
  old = choices_of(table, tokens)
  free = {table.names[s] for s in states_of(table, tokens) if len(table.choices[s]) > 1}
  first = set()
  for _ in range(20 * len(free)):
    new = choices_of(table, mutate(table, tokens, rng))
    first.add(next(name for name in old if new.get(name) != old[name]))
  assert first == free


def check_shapes(space: Space, input_shape: tuple[int, ...]):
  """Every network of the space has shapes; for images whatever their size, down to one pixel."""
  sequence = len(input_shape) == 2  # as long as the space was told
  smallest = input_shape if sequence else (1, 1, input_shape[-1])
  for _, _, architecture in random_walks(space):
    for shape in (input_shape, smallest):
      for classes in (2, 100):
        shapes = infer_shapes(architecture, TaskShape(shape, classes))
        assert shapes[-1] == (classes,)
        assert all(side >= 1 for s in shapes for side in s)
