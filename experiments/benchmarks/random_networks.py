"""Random networks of every space, for checks of size."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np

from rlnas.architecture import Architecture, TaskShape
from rlnas.cli.choices import SPACES, find
from rlnas.spaces import MultiBranch
from rlnas.spaces.decision import Space, decode
from rlnas.spaces.table import compile_table, sample_uniform


def cases() -> Mapping[str, tuple[Space, bool]]:
  """Spaces by name, and whether they read sequences; spaces with two kinds of networks twice."""
  sequences = ('temporal', 'recurrent', 'conv_autoencoder')
  named = {name: (find('space', name)(), name in sequences) for name in SPACES}
  return named | {'multibranch-pad': (MultiBranch(align='pad'), False)}


def task_of(case: str, *, image: TaskShape, sequence: TaskShape) -> TaskShape:
  """The task for the networks of a case, from one of images and one of sequences."""
  space, is_sequence = cases()[case]
  if is_sequence and getattr(space, 'one_row', False):
    shape = (1, *sequence.input_shape)
    reconstructs = getattr(space, 'reconstructs', False)
    return TaskShape(shape, math.prod(shape) if reconstructs else sequence.classes)
  return sequence if is_sequence else image


@functools.lru_cache
def draw(case: str, count: int, seed: int) -> tuple[Architecture, ...]:
  """Networks drawn uniformly from the sequences of choices of a space."""
  space, _ = cases()[case]
  table, rng = compile_table(space), np.random.default_rng(seed)
  return tuple(decode(space, sample_uniform(table, rng)) for _ in range(count))
