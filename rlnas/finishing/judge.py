"""Compares finalists by the answers of their int8 models for the validation examples."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, class_weights
from rlnas.data.tasks import Task
from rlnas.data.windowed import through
from rlnas.finishing.choice import Answers, Choice, Prefer, choose
from rlnas.finishing.finalists import Finalist
from rlnas.tflite.inference import int8_logits, output_scale, real_inputs, real_logits


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
    self._dataset, self._head = dataset, dataset.head
    is_classes = dataset.head.task is Task.CLASSIFICATION
    self._labels: Answers = dataset.y_val.astype(np.int64) if is_classes else dataset.y_val
    self._weights = np.ones(dataset.classes)
    if is_classes and metric is not Metric.ACCURACY:  # as in the training
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
      predicted=self._answers,
      metric=self._metric,
    )

  def loss(self, finalist: Finalist) -> float:
    """The mean loss of a finalist's int8 model: that of its training.

    It is the cross-entropy in nats, weighted as in the training, or the mean squared error; of the
    normal examples in anomaly detection.
    """
    if self._head.task is Task.ANOMALY:
      return float(np.mean(self._answers(finalist)[self._labels == 0]))
    outputs = self._outputs(finalist)
    if self._head.task is Task.REGRESSION:
      return float(np.mean(np.square(outputs - self._head.wanted(self._labels))))
    log_probabilities = log_softmax(outputs, axis=1)  # [N, classes]
    of_labels = np.take_along_axis(log_probabilities, self._labels[:, np.newaxis], axis=1)[:, 0]
    return -float(np.average(of_labels, weights=self._weights[self._labels]))

  def _answers(self, finalist: Finalist) -> Answers:
    """The answers of the int8 model for the validation examples."""
    outputs, inputs = self._outputs(finalist), self._dataset.x_val
    if self._head.task is Task.ANOMALY:
      content = self._model_path(finalist.name).read_bytes()
      inputs = real_inputs(content, inputs, scaling=self._dataset.scaling)
    return self._head.answers(outputs, inputs)

  def _outputs(self, finalist: Finalist) -> npt.NDArray[np.float64]:
    """The outputs of the int8 model, those of classes but for one summand. Cached. [N, outputs]."""
    if finalist.name not in self._known:
      content = self._model_path(finalist.name).read_bytes()
      _, seen = through(finalist.candidate.architecture, self._dataset)
      if self._head.task is Task.CLASSIFICATION:
        units = int8_logits(content, seen.x_val, scaling=seen.scaling)
        self._known[finalist.name] = units.astype(np.float64) * output_scale(content)
      else:
        self._known[finalist.name] = real_logits(content, seen.x_val, scaling=seen.scaling)
    return self._known[finalist.name]
