"""A search space as a grammar: a generator that yields decisions and returns an architecture.

A space is written the way its paper describes it. It is any callable that starts such a
generator: a function, or a frozen dataclass with `__call__` where it has options.

```
def two_layers():
  graph, x = Graph(), Graph.input
  for layer in range(2):
    filters = yield Decision(f'layer{layer}/filters', 'filters', (8, 16))
    x = graph.add('conv', x, filters=filters, kernel_height=3, kernel_width=3, stride=2,
                  activation='relu')
  return graph.finish(graph.classify(x))
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Hashable, Sequence

from rlnas.architecture import Architecture, Scalar

Walk = Generator['Decision', Scalar, Architecture]
Space = Callable[[], Walk]


@dataclasses.dataclass(frozen=True)
class Decision:
  """One choice that a space leaves open.

  The author promises that equal `state` means equal future: whatever the choices before, the
  same (name, memory) is followed by the same decisions. `rlnas.spaces.table` relies on it.

  Attributes:
    name: its place, for people and for mutation, unique within a walk: 'layer3/skip1'.
    kind: decisions of one kind share the controller's embedding and softmax weights: 'filters'.
    choices: at least one JSON scalar, no two of them equal (as 1, 1.0 and True are).
    memory: what the future depends on beyond the name, a count of strides, say.
    points_to: for each choice the anchor that it points at, or None; empty where none points.
    anchor: remember the controller's hidden state of this step under this name.
    hold: do not advance the LSTM: given its state, independent of the step before.
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
    """The state of the automaton that the space compiles to."""
    return (self.name, self.memory)


def walk(
  space: Space, choose: Callable[[Decision], int]
) -> tuple[tuple[Decision, ...], tuple[int, ...], Architecture]:
  """Drives a space from its first decision to its architecture.

  Args:
    space: the space.
    choose: given a decision, the index of the choice to take.

  Returns:
    The decisions met, the index chosen at each, and the architecture.

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


def decode(space: Space, tokens: Sequence[int]) -> Architecture:
  """The architecture that a token sequence describes.

  Raises:
    ValueError: too few or too many tokens, or one out of range.
  """
  remaining = iter(tokens)

  def choose(decision: Decision) -> int:
    token = next(remaining, None)
    if token is None:
      raise ValueError(f'tokens: {len(tokens)} given, but {decision.name!r} asks for another')
    return int(token)

  _, taken, architecture = walk(space, choose)
  if len(taken) != len(tokens):
    raise ValueError(f'tokens: {len(tokens)} given, but the walk ends after {len(taken)}')
  return architecture
