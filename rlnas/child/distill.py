"""Knowledge distillation: a network learns from the probabilities of others besides the labels.

Hinton, Vinyals & Dean 2015 (arXiv:1503.02531), section 2: with q_i = exp(z_i / T) / sum_j exp(z_j /
T) (equation 1) a high temperature T shows which wrong classes a teacher considers likely. With
several teachers, the network learns the mean of their probabilities (section 3). In a regression
it learns the mean of their values.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.child.inherit import inherit_weights
from rlnas.child.train import LOSSES, Loss, cross_entropy, squared_error
from rlnas.cost.preprocessing import behind_preprocessing
from rlnas.data.dataset import Dataset
from rlnas.data.tasks import Task

TEMPERATURE = 4.0
# The teachers' weight in the loss. The labels have the rest: a "considerably lower weight" suits
# them best (section 2).
TEACHERS_SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A trained network on disk.

  Attributes:
    architecture: the network.
    weights: path of its weights, as `rlnas.child.inherit.save_weights` writes them.
  """

  architecture: Architecture
  weights: pathlib.Path

  def load(self, dataset: Dataset) -> keras.Model:
    """Builds the network with its weights; it reads what its preprocessing gives, if it has any.

    Args:
      dataset: the data as given, not as the network sees them.

    Raises:
      ValueError: the weights are missing, or belong to another network.
    """
    network = build(*behind_preprocessing(self.architecture, dataset.task), seed=0)
    layers = sum(bool(layer.weights) for layer in network.layers)
    if inherit_weights(network, self.weights) != layers:
      raise ValueError(f'{self.weights}: not the weights of this network')
    return network


def distillation(
  teachers: Sequence[keras.Model],
  *,
  temperature: float = TEMPERATURE,
  share: float = TEACHERS_SHARE,
  task: Task = Task.CLASSIFICATION,
) -> Loss:
  """Returns the student's loss: (1 - share) cross-entropy + share T^2 KL(teachers || student).

  Of a regression it is (1 - share) times the squared error to the values, and share times that to
  the mean of the teachers' values.

  The factor T^2 compensates for the gradients of softened probabilities, which are 1 / T^2 times
  as large (section 2). The teachers read the same inputs as the student, for example shifted
  images.

  Args:
    teachers: models, float32 [B, ...] -> logits [B, classes]; they run in inference mode.
    temperature: T; positive.
    share: the teachers' weight in the loss, in [0, 1].
    task: the task of the networks; those that reconstruct their input learn from it and from the
      outputs of the teachers.

  Raises:
    ValueError: there is no teacher, or an argument is out of its range.
  """
  if not teachers:
    raise ValueError('teachers=(): must hold at least one')
  if not temperature > 0:
    raise ValueError(f'temperature={temperature}: must be positive')
  if not 0 <= share <= 1:
    raise ValueError(f'share={share}: must lie in [0, 1]')

  if task is not Task.CLASSIFICATION:
    hard_error = LOSSES[task]

    def of_values(x: tf.Tensor, values: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
      taught = tf.add_n([t(x, training=False) for t in teachers]) / len(teachers)  # [B, K]
      soft = squared_error(x, tf.stop_gradient(taught), outputs)
      return (1 - share) * hard_error(x, values, outputs) + share * soft

    return of_values

  def loss(x: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    taught = [tf.nn.softmax(t(x, training=False) / temperature) for t in teachers]
    wanted = tf.stop_gradient(tf.add_n(taught) / len(taught))  # [B, classes]
    missed = tf.nn.log_softmax(logits / temperature)
    divergence = tf.reduce_sum(tf.math.xlogy(wanted, wanted) - wanted * missed, -1)  # [B]
    hard = cross_entropy(x, labels, logits)
    return (1 - share) * hard + share * temperature**2 * divergence

  return loss
