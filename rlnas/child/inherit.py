"""A mutant begins with the weights of its parent (Real et al. 2017, section 3.6).

Layers are matched in the order in which they run, by kind and by the shapes of their weights: the
longest common subsequences, as a tool that compares two texts finds them. What a mutation has
inserted or reshaped keeps its fresh weights, all layers around it are inherited.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import tempfile
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.backend import keras


class _Layer(NamedTuple):
  """What has to agree."""

  kind: str
  shapes: tuple[tuple[int, ...], ...]


def save_weights(model: keras.Model, path: pathlib.Path) -> None:
  """Writes all weights of a network, statistics of batch normalisation included.

  Args:
    model: the network.
    path: of the .npz file; it is there whole or not at all.

  Raises:
    OSError: it cannot be written.
  """
  arrays = {}
  for place, layer in enumerate(_with_weights(model)):
    for number, weight in enumerate(layer.get_weights()):
      arrays[f'{place}/{type(layer).__name__}/{number}'] = weight
  path.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.NamedTemporaryFile(dir=path.parent, suffix='.tmp', delete=False) as file:
    np.savez(file, **arrays)
  os.replace(file.name, path)


def inherit_weights(model: keras.Model, path: pathlib.Path) -> int:
  """Gives a network the weights of another one where the two agree.

  Args:
    model: the network, of which matching layers are changed.
    path: of a file that `save_weights` wrote.

  Returns:
    The number of layers that were inherited.

  Raises:
    ValueError: the file does not exist or is damaged.
  """
  theirs = _read(path)
  ours = _with_weights(model)
  signatures = [_Layer(type(layer).__name__, _shapes(layer.get_weights())) for layer in ours]
  stored = [_Layer(kind, _shapes(arrays)) for kind, arrays in theirs]
  matcher = difflib.SequenceMatcher(None, stored, signatures, autojunk=False)
  inherited = 0
  for block in matcher.get_matching_blocks():
    for step in range(block.size):
      ours[block.b + step].set_weights(theirs[block.a + step][1])
    inherited += block.size
  return inherited


def _with_weights(model: keras.Model) -> list[keras.layers.Layer]:
  return [layer for layer in model.layers if layer.weights]


def _shapes(arrays: list[npt.NDArray[np.float32]]) -> tuple[tuple[int, ...], ...]:
  return tuple(array.shape for array in arrays)


def _read(path: pathlib.Path) -> list[tuple[str, list[npt.NDArray[np.float32]]]]:
  """Kind and arrays of each layer."""
  layers: dict[int, tuple[str, list[npt.NDArray[np.float32]]]] = {}
  try:
    with np.load(path, allow_pickle=False) as file:
      for name in file.files:
        place, kind, _ = name.split('/')
        layers.setdefault(int(place), (kind, []))[1].append(file[name])
  except FileNotFoundError as error:
    raise ValueError(
      f'{path}: the weights of the parent are gone; without them the search cannot go on'
    ) from error
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(f'{path}: not the weights of a network ({error})') from error
  return [layers[place] for place in sorted(layers)]
