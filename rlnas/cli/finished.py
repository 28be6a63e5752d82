"""A finished search, read from its folder: its networks ready for use in Python."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, TaskShape
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.results import Result, read_result
from rlnas.cost.hearing import Hearing
from rlnas.cost.preprocessing import (
  Preprocessing,
  behind_preprocessing,
  preprocessing_of,
  seen_shape,
)
from rlnas.cost.window import Window
from rlnas.data.labels import as_places
from rlnas.data.raw_inputs import shaped, typed
from rlnas.data.scaling import Scaling
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import (
  ANOMALOUS,
  CLASSES,
  NORMAL,
  RECONSTRUCTION,
  Head,
  Task,
  as_targets,
  check_varies,
)
from rlnas.data.windowed import scaling_of, windowed
from rlnas.search.journal import read_journal
from rlnas.trial import Trial

if TYPE_CHECKING:
  from rlnas.backend import keras
  from rlnas.finishing.finalists import Finalist
  from rlnas.reports.anomaly_metrics import AnomalyQuality
  from rlnas.reports.classification_metrics import Quality
  from rlnas.reports.regression_metrics import RegressionQuality

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class FinishedSearch:
  """One finalist of a finished search, by default the winner, with the search that found it.

  Attributes:
    workdir: folder of the search.
    config: configuration of the search.
    configuration: the settings that decide its course, as its journal names them.
    trials: its trials, in order.
    number: number of the finalist; 1 is the winner.
    why: why the winner won; '' if an earlier version finished the search.
    task: shape of the examples of the data, and number of outputs.
    class_names: one name for each class; of a regression, for each value.
    scaling: how raw inputs are scaled for its networks.
    input_type: type in which raw inputs are kept before they are scaled: uint8, float32 or float64.
    features: names of the columns that the features come from; () if they have none.
    head: the task of the networks, and how their outputs are read.
  """

  workdir: pathlib.Path
  config: SearchConfig
  configuration: Mapping[str, Any]
  trials: tuple[Trial, ...]
  number: int
  why: str
  task: TaskShape
  class_names: tuple[str, ...]
  scaling: Scaling
  input_type: str
  features: tuple[str, ...]
  head: Head
  _result: Result

  @functools.cached_property
  def finalists(self) -> tuple[Finalist, ...]:
    """All finalists, the winner first, then the most accurate on validation data.

    Raises:
      ValueError: an earlier version finished the search and did not write a finalist's network.
    """
    return self._result.finalists()

  @property
  def thresholds(self) -> tuple[tuple[float, float], ...]:
    """Of the winner of an anomaly detection, shares of false alarms and scores that give them.

    They were chosen on the validation data. () for other tasks, and other finalists.
    """
    found = self._result.best.get('int8_test_alarms') if self.number == 1 else None
    return tuple((a['rate'], a['threshold']) for a in (found or {}).get('alarms', ()))

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
    network = build(*behind_preprocessing(finalist.candidate.architecture, self.task), seed=0)
    path = self.workdir / 'finalists' / f'{finalist.name}.npz'
    if inherit_weights(network, path) != sum(bool(layer.weights) for layer in network.layers):
      raise ValueError(f'{path}: must hold the weights of this network')
    return network

  def predict(
    self, x: npt.ArrayLike, *, tflm: bool = False
  ) -> npt.NDArray[np.int8] | npt.NDArray[np.float64]:
    """Runs the int8 network, with the kernels of TensorFlow Lite.

    Args:
      x: raw examples, as in the data set: they are scaled here. If the network has a front end of
        its own, features made with `sound`. [N, ...]
      tflm: whether to run TFLite Micro itself, one example at a time. It is slow, and gives to the
        unit what the bundle's <name>_classify() gives; the kernels of TensorFlow Lite may differ
        from that by a few units in the scores (`rlnas.tflite.inference`).

    Returns:
      The int8 scores [N, classes]; the class of an example is `scores.argmax(1)`. Of a regression
      the values in the unit of the training data [N, K]; of an anomaly detection the scores, of
      which those above one of `thresholds` are alarms [N].

    Raises:
      ValueError: `x` is not of the input shape.
      OSError: the .tflite file is gone.
      ImportError: `tflm` is set, and TFLite Micro is not installed.
    """
    from rlnas.tflite.inference import int8_logits, real_inputs, real_units, tflm_logits

    run = tflm_logits if tflm else int8_logits
    seen, scaling = self._seen(self._shaped(x)), self._seen_scaling
    units = run(self.tflite, seen, scaling=scaling)
    if self.head.task is Task.CLASSIFICATION:
      return units
    inputs = real_inputs(self.tflite, seen, scaling=scaling)
    return self.head.answers(real_units(self.tflite, units), inputs)

  def inputs(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Scales raw examples [N, ...] to what `model` reads. Raises ValueError as `predict`."""
    return self._seen_scaling.inputs(self._seen(self._shaped(x)))

  def evaluate(
    self, x: npt.ArrayLike, y: npt.ArrayLike, *, groups: npt.ArrayLike | None = None
  ) -> Quality | RegressionQuality | AnomalyQuality:
    """Tests the int8 network on labelled examples, as a search does on its test data.

    Args:
      x: raw examples, as for `predict`. [N, ...]
      y: their classes: places in `class_names`, as a `Dataset` has them, or names as text [N]; of
        a regression their values [N] or [N, K]; in anomaly detection 0 and 1, or the words normal
        and anomaly [N].
      groups: the group of each example, such as its person, if they have any. [N]

    Returns:
      Accuracy with its interval, other metrics, recall by class, the confusion matrix, and the
      accuracy on each group. Of a regression R² and the errors of each value.

    Raises:
      ValueError: `x`, `y` or `groups` is wrong.
      OSError: the .tflite file is gone.
    """
    from rlnas.reports.anomaly_metrics import assess_scores
    from rlnas.reports.classification_metrics import assess
    from rlnas.reports.regression_metrics import assess_values
    from rlnas.tflite.inference import int8_answers, real_logits

    raw = typed('x', shaped('x', np.asarray(x), self.raw_shape), self.input_type)
    if raw.dtype != np.uint8 and not np.isfinite(raw).all():
      raise ValueError('x: holds NaN or infinite values; all must be finite')
    seen, scaling = self._seen(raw), self._seen_scaling
    if self.head.task is Task.REGRESSION:
      values = as_targets('y', np.asarray(y), examples=len(raw))
      if values.shape[1] != len(self.class_names):
        raise ValueError(
          f'y of shape {np.shape(y)}: must have a value for each of {", ".join(self.class_names)}'
        )
      check_varies('y', values, self.class_names)
      answers = int8_answers(self.tflite, seen, scaling=scaling, head=self.head)
      return assess_values(values, answers, names=self.class_names, head=self.head)
    if self.head.task is Task.ANOMALY:
      odd = as_places('y', np.asarray(y), self.class_names, count=len(raw))
      if odd.min() == odd.max():
        raise ValueError('y: must have normal and anomalous examples')
      scores = int8_answers(self.tflite, seen, scaling=scaling, head=self.head)
      return assess_scores(odd, scores, thresholds=self.thresholds)
    labels = as_places('y', np.asarray(y), self.class_names, count=len(raw))
    return assess(
      real_logits(self.tflite, seen, scaling=scaling),
      labels,
      groups=None if groups is None else np.asarray(groups),
    )

  def _shaped(self, x: npt.ArrayLike) -> Array:
    """Examples of the input shape, floats in the type of the training data. Raises ValueError."""
    raw = shaped('x', np.asarray(x), self.raw_shape)
    return raw if self.input_type == 'uint8' else typed('x', raw, self.input_type)

  @functools.cached_property
  def preprocessing(self) -> Preprocessing | None:
    """What the network decided to read; None if it reads whole examples."""
    architecture = self.architecture
    return None if architecture is None else preprocessing_of(architecture)

  @functools.cached_property
  def architecture(self) -> Architecture | None:
    """The network; None if an earlier version did not write that of the winner."""
    if self.number != 1:
      return self._result.finalist(self.number).candidate.architecture
    rows = self._result.best.get('architecture')
    return None if rows is None else Architecture.from_rows(rows)

  @property
  def sound(self) -> SoundSettings | None:
    """How recordings become what the network hears, if it has a front end of its own; else None.

    `rlnas.data.load(path, sound=search.sound)` reads others in the same way, and
    `search.sound.features(samples)` makes the features of a clip.
    """
    if not isinstance(self.preprocessing, Hearing):
      return None
    return (self.config.reading()['sound'] or SoundSettings()).heard_by(self.preprocessing)

  @property
  def raw_shape(self) -> tuple[int, ...]:
    """The shape of an example for `predict` and `evaluate`: that of the data.

    It is that of the network's own features if it has a front end of its own.
    """
    if not isinstance(self.preprocessing, Hearing):
      return self.task.input_shape
    return seen_shape(self.preprocessing, self.task)

  def _seen(self, x: Array) -> Array:
    """What the network reads of raw examples: [N, ...]."""
    if not isinstance(self.preprocessing, Window):
      return x
    return windowed(x, self.preprocessing).reshape(
      len(x), *seen_shape(self.preprocessing, self.task)
    )

  @property
  def _seen_scaling(self) -> Scaling:
    window = self.preprocessing
    return scaling_of(self.scaling, window) if isinstance(window, Window) else self.scaling


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
    kind = given.get('type') or _type_of(given)
    offset, scale = (_number(given[name], kind) for name in ('offset', 'scale'))
    scaling = Scaling(offset, scale, given.get('limit'))
    task = TaskShape(tuple(given['shape']), int(configuration['classes'] or 0))
    head, names = _head_of(result.best, task.classes)
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{result.path}: its input cannot be read ({error!r})') from error
  return FinishedSearch(
    workdir=folder,
    config=read_config(folder),
    configuration=configuration,
    trials=tuple(trials),
    number=finalist,
    why=result.why,
    task=task,
    class_names=names,
    scaling=scaling,
    input_type=str(kind),
    features=tuple(given.get('features', ())),
    head=head,
    _result=result,
  )


def _head_of(best: Mapping[str, Any], outputs: int) -> tuple[Head, tuple[str, ...]]:
  """What the outputs of a search's networks mean, and their names. Raises KeyError, ValueError."""
  task = Task(best.get('task', Task.CLASSIFICATION))  # earlier versions had no other
  if task is Task.ANOMALY:
    return RECONSTRUCTION, (NORMAL, ANOMALOUS)
  if task is Task.CLASSIFICATION:
    return CLASSES, tuple(best.get('recall_by_class') or map(str, range(outputs)))
  targets = best['targets']
  offset, scale = (np.asarray(targets[name], np.float64) for name in ('offset', 'scale'))
  return Head(task, Scaling(offset, scale)), tuple(targets['names'])


def _number(value: Any, kind: str) -> Any:
  """An offset or a scale, of the type that it had in the search."""
  return np.asarray(value, kind) if isinstance(value, list) else float(value)


def _type_of(given: Mapping[str, Any]) -> str:
  """The type of the raw inputs in a result of an earlier version, which did not name it.

  Pixels have no limit. float64 numbers that float32 can represent were float32.
  """
  if given.get('limit') is None and given['offset'] == 0:
    return 'uint8'
  offset = np.ravel(given['offset']).astype(np.float64)
  is_short = np.array_equal(offset.astype(np.float32), offset) or offset.size == 1
  return 'float32' if is_short else 'float64'
