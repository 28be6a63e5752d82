"""A search space as a grammar: a generator that yields decisions and returns an architecture.

(Or another hashable value that JSON can hold, such as a text, if the evaluator takes it.)

A space is any callable that starts such a generator: a function, or a frozen dataclass with
`__call__` if it has options. Its code can follow the description in a paper step by step.

```
def two_layers():
  graph, x = Graph(), Graph.input
  for layer in range(2):
    filters = yield Decision(f'layer{layer}/filters', 'filters', (8, 16))
    x = graph.add('conv', x, filters=filters, kernel_height=3, kernel_width=3, stride=2,
                  activation='relu')
  return graph.finish(graph.classify(x))
```

Networks of images read a sequence as an image of one channel, (time, features, 1). If those of a
space are to read it as an image of one row, (1, time, features), the space has an attribute
`one_row` that is True (`rlnas.data.as_row`). With `one_pixel`, they read every example as an image
of one pixel whose channels are all its values (`rlnas.data.as_pixel`).

Networks that end with a reconstruction have as many outputs as inputs, which only anomaly detection
wants. A space of such networks has an attribute `reconstructs` that is True.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import TypeVar

from rlnas.architecture import Scalar

Value = TypeVar('Value', bound=Hashable)  # what a walk returns: see `rlnas.trial.check_value`
Walk = Generator['Decision', Scalar, Value]
Space = Callable[[], Walk[Value]]


@dataclasses.dataclass(frozen=True)
class Decision:
  """One decision of a space.

  Equal states must have equal futures: whatever the earlier choices were, the same decisions must
  follow the same (name, memory). `rlnas.spaces.table` relies on it.

  Attributes:
    name: name of the decision, unique within a walk, such as 'layer3/skip1'. Mutation keeps old
      choices by name.
    kind: kind of the decision, such as 'filters'. Decisions of one kind share the controller's
      embeddings and softmax weights.
    choices: at least one JSON scalar, no two of them equal (note that 1 == 1.0 == True).
    memory: everything besides the name that later decisions depend on, such as a count of strides.
    points_to: for each choice, the name of the anchor that it points at, or None; empty if no
      choice points at one.
    anchor: name under which the controller's hidden state at this step is stored; '' stores none.
    hold: whether the LSTM does not advance at this step; then, given the LSTM's state, the choice
      is independent of the one before.
  """

  name: str
  kind: str
  choices: tuple[Scalar, ...]
  memory: tuple[Hashable, ...] = ()
  points_to: tuple[str | None, ...] = ()
  anchor: str = ''
  hold: bool = False

  def __post_init__(self) -> None:
    if not self.choices:
      raise ValueError(f'decision {self.name!r}: choices must hold at least one value')
    if len(set(self.choices)) < len(self.choices):
      raise ValueError(f'decision {self.name!r}: choices {self.choices} repeat a value')
    if self.points_to and len(self.points_to) != len(self.choices):
      raise ValueError(
        f'decision {self.name!r}: points_to has {len(self.points_to)} entries '
        f'for {len(self.choices)} choices'
      )

  @property
  def state(self) -> tuple[str, tuple[Hashable, ...]]:
    """The state of this decision in the finite automaton that the space compiles to."""
    return (self.name, self.memory)


def walk(
  space: Space[Value], choose: Callable[[Decision], int]
) -> tuple[tuple[Decision, ...], tuple[int, ...], Value]:
  """Walks through a space from its first decision to its architecture.

  Args:
    space: the space.
    choose: returns the index of the choice to take at a decision.

  Returns:
    The decisions of the walk, the index chosen at each, and the architecture.

  Raises:
    ValueError: a chosen index is out of range.
  """
  generator = space()
  decisions: list[Decision] = []
  tokens: list[int] = []
  try:
    decision = next(generator)
    while True:
      token = choose(decision)
      if not 0 <= token < len(decision.choices):
        raise ValueError(
          f'token {token} at {decision.name!r}: must lie in [0, {len(decision.choices)})'
        )
      decisions.append(decision)
      tokens.append(token)
      decision = generator.send(decision.choices[token])
  except StopIteration as stop:
    return tuple(decisions), tuple(tokens), stop.value


def decode(space: Space[Value], tokens: Sequence[int]) -> Value:
  """Returns the architecture, or other value, that a token sequence describes.

  Raises:
    ValueError: too few or too many tokens, or one out of range.
  """
  remaining = iter(tokens)

  def choose(decision: Decision) -> int:
    token = next(remaining, None)
    if token is None:
      raise ValueError(f'tokens: {len(tokens)} given, but {decision.name!r} needs another')
    return int(token)

  _, taken, value = walk(space, choose)
  if len(taken) != len(tokens):
    raise ValueError(f'tokens: {len(tokens)} given, but the walk ends after {len(taken)}')
  return value
