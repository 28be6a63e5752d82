"""A finished search, read from its folder: its networks ready for use in Python."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import TaskShape
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.results import Result, read_result
from rlnas.data.scaling import Scaling
from rlnas.search.journal import read_journal
from rlnas.trial import Trial

if TYPE_CHECKING:
  from rlnas.backend import keras
  from rlnas.finishing.finalists import Finalist

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class FinishedSearch:
  """One finalist of a finished search, by default the winner, with the search that found it.

  Attributes:
    workdir: folder of the search.
    config: configuration of the search.
    trials: its trials, in order.
    number: number of the finalist; 1 is the winner.
    why: why the winner won; '' if an earlier version finished the search.
    task: input shape and number of classes of its networks.
    class_names: one name for each class.
    scaling: how raw inputs are scaled for its networks.
  """

  workdir: pathlib.Path
  config: SearchConfig
  trials: tuple[Trial, ...]
  number: int
  why: str
  task: TaskShape
  class_names: tuple[str, ...]
  scaling: Scaling
  _result: Result

  @functools.cached_property
  def finalists(self) -> tuple[Finalist, ...]:
    """All finalists, the winner first, then the most accurate on validation data.

    Raises:
      ValueError: an earlier version finished the search and did not write a finalist's network.
    """
    return self._result.finalists()

  @functools.cached_property
  def tflite(self) -> bytes:
    """The .tflite file of the network, full int8. Raises OSError if it is gone."""
    if self.number == 1:
      return (self.workdir / 'best' / 'model.tflite').read_bytes()
    name = self._result.finalist(self.number).name
    return (self.workdir / 'finalists' / f'{name}.tflite').read_bytes()

  @functools.cached_property
  def model(self) -> keras.Model:
    """The float network, of tf-keras: `inputs(x)`, float32 [N, ...] -> logits [N, classes].

    Raises:
      ValueError: its weights in finalists/ are gone or damaged.
    """
    from rlnas.child.builder import build
    from rlnas.child.inherit import inherit_weights

    finalist = self._result.finalist(self.number)
    network = build(finalist.candidate.architecture, self.task, seed=0)
    path = self.workdir / 'finalists' / f'{finalist.name}.npz'
    if inherit_weights(network, path) != sum(bool(layer.weights) for layer in network.layers):
      raise ValueError(f'{path}: must hold the weights of this network')
    return network

  def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Runs the int8 network, with the kernels of TensorFlow Lite.

    Args:
      x: raw examples, as in the data set: they are scaled here. [N, ...]

    Returns:
      The int8 scores; the class of an example is `scores.argmax(1)`. [N, classes]

    Raises:
      ValueError: `x` is not of the input shape.
      OSError: the .tflite file is gone.
    """
    from rlnas.tflite.inference import int8_logits

    return int8_logits(self.tflite, self._shaped(x), scaling=self.scaling)

  def inputs(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Scales raw examples [N, ...] to what `model` reads. Raises ValueError as `predict`."""
    return self.scaling.inputs(self._shaped(x))

  def _shaped(self, x: npt.ArrayLike) -> Array:
    """Examples of the input shape, whose sides of 1 may be missing. Raises ValueError."""
    given, shape = np.asarray(x), self.task.input_shape
    wanted, is_one = _without_ones(shape), _without_ones(given.shape) == _without_ones(shape)
    if not given.size or given.ndim < 1 or _without_ones(given.shape[1:]) != wanted:
      sides = ', '.join(map(str, shape))
      cure = '; one example is x[np.newaxis]' if is_one else ''
      raise ValueError(f'x of shape {given.shape}: must be (N, {sides}), N >= 1{cure}')
    if given.dtype.kind not in 'uif':
      raise ValueError(f'x of type {given.dtype}: must be numbers')
    return given.reshape(-1, math.prod(shape)).reshape(-1, *shape)


def load(workdir: str | os.PathLike[str], *, finalist: int = 1) -> FinishedSearch:
  """Reads a finished search: its winner, or another finalist, ready for use.

  Args:
    workdir: folder of the search.
    finalist: number of the finalist, as result.json lists them; 1 is the winner.

  Raises:
    OSError: the folder holds no finished search.
    ValueError: a file in it is damaged, or there is no such finalist.
  """
  folder = pathlib.Path(os.path.expanduser(workdir))
  if not (folder / 'journal.jsonl').exists():
    raise FileNotFoundError(
      f'workdir={folder}: must be the folder of a search; it has no journal.jsonl'
    )
  configuration, trials = read_journal(folder / 'journal.jsonl')
  result = read_result(folder, trials)
  if finalist != 1:
    result.finalist(finalist)
  try:
    given = result.best['input']
    scaling = Scaling(_number(given['offset']), _number(given['scale']), given.get('limit'))
    task = TaskShape(tuple(given['shape']), int(configuration['classes'] or 0))
    names = tuple(result.best.get('recall_by_class') or map(str, range(task.classes)))
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{result.path}: its input cannot be read ({error!r})') from error
  return FinishedSearch(
    workdir=folder,
    config=read_config(folder),
    trials=tuple(trials),
    number=finalist,
    why=result.why,
    task=task,
    class_names=names,
    scaling=scaling,
    _result=result,
  )


def _without_ones(shape: Sequence[int]) -> list[int]:
  return [side for side in shape if side != 1]


def _number(value: Any) -> Any:
  return np.asarray(value) if isinstance(value, list) else float(value)
