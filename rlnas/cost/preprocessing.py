"""Preprocessing that networks decide: which part of a sequence they read, or how they hear sound.

The node of the input has it as attributes: a `Window` of a sequence, or a `Hearing`, a front end
for sound. Only a few functions know of it: `behind_preprocessing` gives the network without its
preprocessing and the task that it then has, and `rlnas.data.windowed` the examples. All functions
that build, count or convert a network take these.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from rlnas.architecture import (
  HEARING,
  Architecture,
  Node,
  Shape,
  TaskShape,
  computed_once,
  infer_shapes,
)
from rlnas.cost.hearing import Hearing
from rlnas.cost.window import Window

Preprocessing = Window | Hearing


class Memory(NamedTuple):
  """The bytes that preprocessing takes on a chip, beside the model and its arena."""

  flash_bytes: int = 0
  sram_bytes: int = 0


def preprocessing_of(architecture: Architecture) -> Preprocessing | None:
  """The preprocessing of a network; None if it reads whole examples as they were given."""
  entry = architecture.nodes[0]
  if not entry.attributes:
    return None
  if 'features' not in dict(entry.attributes):
    return Hearing(**{name: entry[name] for name in HEARING})
  features = tuple(map(int, str(entry['features']).split(',')))
  return Window(entry['frames'], entry['rate'], features)


def with_preprocessing(architecture: Architecture, preprocessing: Preprocessing) -> Architecture:
  """Returns the network with preprocessing at its input, in place of any that it has.

  A space gives one kind to all of its networks or none to any, since a strategy compares them by
  their features (`rlnas.strategies.network_features`).
  """
  return Architecture((_entry(preprocessing), *architecture.nodes[1:]))


def _entry(preprocessing: Preprocessing) -> Node:
  """The node of the input that has the preprocessing."""
  return Node('input', (), preprocessing.attributes)


def with_input_of(architecture: Architecture, other: Architecture) -> Architecture:
  """Returns the network with the preprocessing of another, none if that has none."""
  return Architecture((other.nodes[0], *architecture.nodes[1:]))


def without_preprocessing(architecture: Architecture) -> Architecture:
  """Returns the network that reads what its preprocessing gives; the same if it has none."""
  if not architecture.nodes[0].attributes:
    return architecture
  return computed_once(
    architecture,
    '_without_preprocessing',
    None,
    lambda: Architecture((Node('input'), *architecture.nodes[1:])),
  )


def behind_preprocessing(
  architecture: Architecture, task: TaskShape
) -> tuple[Architecture, TaskShape]:
  """Returns the network without its preprocessing, and the task with the shape that this gives.

  Raises:
    ValueError: a window is longer than the examples of the task or wants features that they have
      not, or the examples of the task are images.
  """
  preprocessing = preprocessing_of(architecture)
  if preprocessing is None:
    return architecture, task
  seen = TaskShape(seen_shape(preprocessing, task), task.classes)
  return without_preprocessing(architecture), seen


def seen_shape(preprocessing: Preprocessing, task: TaskShape) -> Shape:
  """The shape of an example after preprocessing. Raises ValueError as `behind_preprocessing`."""
  return infer_shapes(Architecture((_entry(preprocessing),)), task)[0]


def preprocessing_memory(architecture: Architecture) -> Memory:
  """The memory that a network's preprocessing takes on a chip; zeros if it has none."""
  return memory_of(preprocessing_of(architecture))


@functools.lru_cache(maxsize=1024)
def memory_of(preprocessing: Preprocessing | None) -> Memory:
  """The memory that preprocessing takes on a chip; zeros if there is none."""
  if preprocessing is None:
    return Memory()
  return Memory(preprocessing.flash_bytes, preprocessing.sram_bytes)
