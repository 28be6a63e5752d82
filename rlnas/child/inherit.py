"""Weight inheritance: a mutant starts with its parent's weights (Real et al. 2017, section 3.6).

Layers are matched in the order in which they run, by kind and by the shapes of their weights. The
matching finds longest common subsequences, as a text comparison does. Layers that a mutation
inserted or reshaped keep their fresh weights; all layers around them inherit theirs.
"""

from __future__ import annotations

import difflib
import io
import pathlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.backend import keras
from rlnas.data.atomic_file import write_file


class _Layer(NamedTuple):
  """What must be equal in two layers for them to match."""

  kind: str
  shapes: tuple[tuple[int, ...], ...]


def save_weights(model: keras.Model, path: pathlib.Path) -> None:
  """Writes all weights of a network, including the statistics of batch normalisation.

  Args:
    model: the network.
    path: path of the .npz file; it is written as a whole.

  Raises:
    OSError: the file cannot be written.
  """
  arrays = {}
  for place, layer in enumerate(_with_weights(model)):
    for number, weight in enumerate(layer.get_weights()):
      arrays[f'{place}/{type(layer).__name__}/{number}'] = weight
  content = io.BytesIO()
  np.savez(content, **arrays)
  write_file(path, content.getvalue())


def inherit_weights(model: keras.Model, path: pathlib.Path) -> int:
  """Copies the weights of another network into the layers that match.

  Args:
    model: the network; its matching layers are changed.
    path: path of a file that `save_weights` wrote.

  Returns:
    The number of layers that inherited weights.

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
  """Reads the kind and the arrays of each layer."""
  layers: dict[int, tuple[str, list[npt.NDArray[np.float32]]]] = {}
  try:
    with np.load(path, allow_pickle=False) as file:
      for name in file.files:
        place, kind, _ = name.split('/')
        layers.setdefault(int(place), (kind, []))[1].append(file[name])
  except FileNotFoundError as error:
    raise ValueError(
      f'{path}: the weights of the parent are gone; the search cannot continue without them'
    ) from error
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(f'{path}: not the weights of a network ({error})') from error
  return [layers[place] for place in sorted(layers)]
