import dataclasses

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.child.distill import Teacher, distillation
from rlnas.child.inherit import save_weights
from rlnas.child.train import cross_entropy, train
from rlnas.data import loaders
from tests.child.test_builder import small_network

DIGITS = loaders.take(loaders.digits(), 300)
RNG = np.random.default_rng(0)
X = tf.constant(RNG.normal(size=(5, 3)), tf.float32)
LABELS = tf.constant([0, 1, 2, 1, 0])
LOGITS = tf.constant(RNG.normal(size=(5, 3)), tf.float32)


def linear(seed):
  kernel = keras.initializers.RandomNormal(seed=seed, stddev=1.0)
  return keras.Sequential([keras.layers.Dense(3, kernel_initializer=kernel, input_shape=(3,))])


def softmax(z):
  e = np.exp(z - z.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def test_the_loss_is_the_papers():
  teachers = [linear(0), linear(1)]
  loss = distillation(teachers, temperature=3.0, share=0.7)(X, LABELS, LOGITS).numpy()
  z = LOGITS.numpy().astype(np.float64)
  p = np.mean([softmax(t(X).numpy().astype(np.float64) / 3) for t in teachers], 0)
  hard = -np.log(softmax(z)[np.arange(5), LABELS.numpy()])
  soft = (p * (np.log(p) - np.log(softmax(z / 3)))).sum(-1)
  np.testing.assert_allclose(loss, 0.3 * hard + 0.7 * 9 * soft, rtol=1e-4)


def test_without_teachers_share_it_is_cross_entropy_and_alike_costs_nothing():
  teacher = linear(0)
  alone = distillation([teacher], share=0.0)(X, LABELS, LOGITS)
  np.testing.assert_allclose(alone, cross_entropy(X, LABELS, LOGITS), rtol=1e-6)
  alike = distillation([teacher], share=1.0)(X, LABELS, teacher(X))
  np.testing.assert_allclose(alike, 0, atol=1e-5)


@pytest.mark.slow
def test_a_student_comes_to_agree_with_its_teacher(tmp_path):
  """Its labels are shuffled: only the teacher knows the classes."""
  data = loaders.digits()
  architecture = small_network(16)
  teacher = build(architecture, data.task, seed=0)
  train(teacher, data, epochs=10, seed=0, batch_size=32)
  save_weights(teacher, tmp_path / 'teacher.npz')
  loaded = Teacher(architecture, tmp_path / 'teacher.npz').load(data)
  x = data.scaling.apply(data.x_val)
  labels = teacher.predict(x, verbose=0).argmax(1)
  np.testing.assert_array_equal(loaded.predict(x, verbose=0).argmax(1), labels)
  shuffled = dataclasses.replace(data, y_train=RNG.permutation(data.y_train))
  student = build(architecture, data.task, seed=1)
  train(student, shuffled, epochs=10, seed=1, batch_size=32, loss=distillation([loaded], share=1.0))
  assert (student.predict(x, verbose=0).argmax(1) == labels).mean() > 0.7  # 0.1 is chance


def test_other_weights_are_refused(tmp_path):
  save_weights(build(small_network(8), TaskShape((8, 8, 1), 10), seed=0), tmp_path / 'other.npz')
  with pytest.raises(ValueError, match='not the weights of this network'):
    Teacher(small_network(16), tmp_path / 'other.npz').load(DIGITS)


@pytest.mark.parametrize(
  ('teachers', 'options', 'message'),
  [
    ([], {}, 'must hold at least one'),
    ([None], {'temperature': 0}, 'temperature=0: must be positive'),
    ([None], {'share': 1.5}, r'share=1.5: must lie in \[0, 1\]'),
  ],
)
def test_bad_settings_are_named(teachers, options, message):
  with pytest.raises(ValueError, match=message):
    distillation(teachers, **options)
