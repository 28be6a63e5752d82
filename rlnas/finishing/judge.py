"""What decides between finalists: what their int8 models answer for the validation examples."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, class_weights
from rlnas.data.windowed import through
from rlnas.finishing.choice import Choice, Labels, Prefer, choose
from rlnas.finishing.finalists import Finalist
from rlnas.tflite.inference import int8_logits, output_scale


class Judge:
  """Compares finalists on validation data; runs each model once.

  Args:
    dataset: its validation data are used.
    prefer: how much accuracy a smaller network may cost.
    metric: what `int8_validation_accuracy` holds.
    model_path: returns the path of the .tflite file of a finalist's name.
  """

  def __init__(
    self,
    dataset: Dataset,
    prefer: Prefer,
    *,
    metric: Metric,
    model_path: Callable[[str], pathlib.Path],
  ) -> None:
    self._dataset = dataset
    self._labels: Labels = dataset.y_val.astype(np.int64)
    self._weights = np.ones(dataset.classes)
    if metric is not Metric.ACCURACY:  # as in the training
      self._weights = class_weights(dataset.y_train, classes=dataset.classes)
    self._prefer, self._metric = prefer, metric
    self._model_path = model_path
    self._known: dict[str, npt.NDArray[np.float64]] = {}

  def choose(self, finalists: Sequence[Finalist]) -> Choice:
    """Chooses among finalists (`rlnas.finishing.choice.choose`)."""
    return choose(
      finalists,
      self._prefer,
      labels=self._labels,
      predicted=lambda finalist: self._logits(finalist).argmax(axis=1).astype(np.int64),
      metric=self._metric,
    )

  def loss(self, finalist: Finalist) -> float:
    """The mean cross-entropy of a finalist's int8 model in nats, weighted as in the training."""
    log_probabilities = log_softmax(self._logits(finalist), axis=1)  # [N, classes]
    of_labels = np.take_along_axis(log_probabilities, self._labels[:, np.newaxis], axis=1)[:, 0]
    return -float(np.average(of_labels, weights=self._weights[self._labels]))

  def _logits(self, finalist: Finalist) -> npt.NDArray[np.float64]:
    """The logits of the int8 model, but for one summand. Cached. [N, classes]."""
    if finalist.name not in self._known:
      content = self._model_path(finalist.name).read_bytes()
      _, seen = through(finalist.candidate.architecture, self._dataset)
      units = int8_logits(content, seen.x_val, scaling=seen.scaling)
      self._known[finalist.name] = units.astype(np.float64) * output_scale(content)
    return self._known[finalist.name]
