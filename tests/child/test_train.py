import contextlib
import dataclasses
import math

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.backend import keras, tf
from rlnas.child.adam import Adam
from rlnas.child.augment import Augmentation
from rlnas.child.builder import build
from rlnas.child.train import (
  MAX_GRADIENT_NORM,
  Trainer,
  accuracy,
  confusion_function,
  cross_entropy,
  loss_for,
  train,
)
from rlnas.data import loaders
from rlnas.data.metrics import Metric, class_weights, confusion_matrix
from rlnas.data.scaling import PIXELS, UNSCALED, Scaling
from rlnas.progress import told_to
from rlnas.spaces import Recurrent, layers
from rlnas.spaces.decision import walk
from tests.child.test_builder import recurrent_network, small_network

pytestmark = pytest.mark.slow

DIGITS = loaders.take(loaders.digits(), 200)


def digits_model(seed=0):
  return build(small_network(), DIGITS.task, seed=seed)


def dense_model(task):
  """Without batch normalisation."""
  graph = Graph()
  return build(graph.finish(graph.classify(graph.input)), task, seed=0)


def reference(model, dataset, *, epochs, seed, batch_size, learning_rate):
  """The same training as a loop in Python with Keras' optimizer; returns the last mean loss."""
  rng = np.random.default_rng(seed)
  count = len(dataset.x_train)
  steps = count // batch_size
  optimizer = keras.optimizers.Adam()
  loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  for epoch in range(epochs):
    order = rng.permutation(count)
    rng.integers(0, 0, (steps, batch_size, 2), endpoint=True)
    losses = []
    for step in range(steps):
      rows = order[step * batch_size : (step + 1) * batch_size]
      x = dataset.scaling.apply(dataset.x_train[rows]).astype(np.float32)
      with tf.GradientTape() as tape:
        loss = loss_of(dataset.y_train[rows], model(x, training=True))
      progress = (epoch * steps + step) / (steps * epochs)
      optimizer.learning_rate.assign(learning_rate * (1 + math.cos(math.pi * progress)) / 2)
      gradients = tape.gradient(loss, model.trainable_variables)
      optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
      losses.append(float(loss))
  return np.mean(losses)


def test_training_is_adam_on_a_cosine_as_keras_computes_it():
  options = {'epochs': 3, 'seed': 5, 'batch_size': 64, 'learning_rate': 1e-2}
  ours, theirs = digits_model(), digits_model()
  before = digits_model().get_weights()
  loss = train(ours, DIGITS, **options)
  assert loss == pytest.approx(reference(theirs, DIGITS, **options), rel=1e-3)
  for old, a, b in zip(before, ours.get_weights(), theirs.get_weights(), strict=True):
    assert np.abs(a - old).max() > 1e-3  # moving statistics too
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_batch_normalisation_follows_the_data():
  """After one step the moving statistics are nine tenths initial and one tenth the batch's."""
  model = digits_model()
  inner = keras.Model(model.input, model.get_layer('node1_conv').output)
  x = DIGITS.scaling.apply(DIGITS.x_train).astype(np.float32)
  values = inner(x).numpy().reshape(-1, 4)
  train(model, DIGITS, epochs=1, seed=0, batch_size=len(x))
  norm = model.get_layer('node1_norm')
  np.testing.assert_allclose(norm.moving_mean, 0.1 * values.mean(0), rtol=1e-4)
  np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * values.var(0, ddof=1), rtol=1e-4)


def test_it_learns():
  data = loaders.digits()
  model = build(small_network(32), data.task, seed=0)
  losses = []
  last = train(
    model,
    data,
    epochs=10,
    seed=0,
    learning_rate=2e-2,
    on_epoch=lambda *event: losses.append(event),
  )
  assert [epoch for epoch, _ in losses] == list(range(1, 11))
  assert last == losses[-1][1] < losses[0][1] / 2
  options = {'scaling': data.scaling}
  # 0.1 is chance; 180 examples, so that one is 0.0056.
  assert accuracy(model, data.x_val, data.y_val, **options) > 0.8


def trained_weights(dataset=DIGITS, **options):
  model = digits_model()
  train(model, dataset, **{'epochs': 2, 'seed': 0, 'batch_size': 32} | options)
  return model.get_weights()


def equal(first, second):
  return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_result_depends_on_the_seed_alone():
  shifts = Augmentation(shift_pixels=1)
  first = trained_weights(seed=3, augmentation=shifts)
  np.random.seed(1)  # noqa: NPY002 (global seeds must not matter)
  tf.random.set_seed(1)
  assert equal(first, trained_weights(seed=3, augmentation=shifts))
  assert not equal(first, trained_weights(seed=4, augmentation=shifts))
  assert not equal(first, trained_weights(seed=3))


def test_fewer_examples_than_a_batch_are_one_batch():
  few = loaders.take(DIGITS, 20)
  assert equal(trained_weights(few, batch_size=64), trained_weights(few, batch_size=20))


def test_one_example_can_be_trained_on():
  single = trained_weights(loaders.take(DIGITS, 1))
  assert all(np.isfinite(w).all() for w in single)


def test_float_data_are_shifted_and_scaled():
  floats = dataclasses.replace(
    DIGITS, x_train=DIGITS.x_train.astype(np.float32) * 4 - 6, scaling=Scaling(-6.0, 64.0)
  )
  same = trained_weights(floats, epochs=1)
  for a, b in zip(same, trained_weights(epochs=1), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_time_stamps_train_as_their_distances_do():
  times = dataclasses.replace(
    DIGITS,
    x_train=DIGITS.x_train.astype(np.float64) + 1.7e9,
    scaling=Scaling(np.full(1, 1.7e9), np.full(1, 16.0)),
  )
  same = trained_weights(times, epochs=1)
  for a, b in zip(same, trained_weights(epochs=1), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
  x, y = DIGITS.x_val, DIGITS.y_val
  model = digits_model()
  expected = accuracy(model, x, y, scaling=DIGITS.scaling)
  assert accuracy(model, x + 1.7e9, y, scaling=times.scaling) == expected


def test_values_beyond_the_limit_train_as_the_limit_does():
  x = DIGITS.x_train.astype(np.float32)
  near, far = (np.where(x == 16, high, x).astype(np.float32) for high in (8, 1e9))
  both = [
    trained_weights(dataclasses.replace(DIGITS, x_train=x, scaling=scaling), epochs=1)
    for x, scaling in ((far, Scaling(0.0, 1.0, 8.0)), (np.minimum(near, 8), Scaling(0.0, 1.0)))
  ]
  for a, b in zip(*both, strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_shift_moves_scaled_values_between_features():
  """So a value of a feature of large numbers never meets the small deviation of another."""
  factor = np.geomspace(1e-4, 1e4, 8, dtype=np.float32)[:, None]  # of each column
  floats = dataclasses.replace(
    DIGITS, x_train=DIGITS.x_train * factor, scaling=Scaling(0 * factor, 16 * factor)
  )
  shift = {'epochs': 1, 'augmentation': Augmentation(shift_pixels=2)}
  for a, b in zip(trained_weights(floats, **shift), trained_weights(**shift), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_sequences_are_trained_on():
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, 300).astype(np.int32)
  x = rng.normal(size=(300, 6, 3)).astype(np.float32) + 2 * y[:, None, None]
  data = dataclasses.replace(
    DIGITS, x_train=x, y_train=y, scaling=Scaling(1.0, 1.5), class_names=('low', 'high')
  )
  model = build(recurrent_network(), TaskShape((6, 3), 2), seed=0)
  train(model, data, epochs=10, seed=0, learning_rate=1e-2)
  assert accuracy(model, x, y, scaling=data.scaling) > 0.95
  with pytest.raises(ValueError, match='shift_pixels=1'):
    train(model, data, epochs=1, seed=0, augmentation=Augmentation(shift_pixels=1))


def test_divergence_ends_the_training():
  model = dense_model(DIGITS.task)
  epochs = []
  with pytest.raises(FloatingPointError, match='training diverged: loss nan in epoch 1 of 9'):
    train(
      model, DIGITS, epochs=9, seed=0, learning_rate=3e38, on_epoch=lambda e, _: epochs.append(e)
    )
  assert epochs == []


def test_huge_weights_are_a_divergence():
  """Their loss may still be finite, where few steps were made."""
  model = dense_model(DIGITS.task)
  with pytest.raises(FloatingPointError, match=r'training diverged: .* reaches'):
    train(model, DIGITS, epochs=1, seed=0, learning_rate=1e15)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'epochs': 0}, 'epochs=0: must be at least 1'),
    ({'batch_size': 0}, 'batch_size=0: must be at least 1'),
    ({'warmup': 1.0}, r'warmup=1.0: must lie in \[0, 1\)'),
    ({'learning_rate': 0.0}, 'learning_rate=0.0: must be positive'),
    ({'learning_rate': math.inf}, 'learning_rate=inf: must be positive'),
  ],
)
def test_bad_settings_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    trained_weights(**options)


def test_the_learning_rate_rises_and_falls():
  """Adam's first steps are as long as the learning rate, whatever the gradients are."""
  variable = tf.Variable(0.0)
  adam = Adam([variable], learning_rate=0.1, warmup=0.5)
  adam.start(8)
  seen = [0.0]
  for _ in range(8):
    adam.apply([tf.constant(1.0)])
    seen.append(float(variable))
  half = [0.025, 0.05, 0.075, 0.1]
  falling = [0.1 * (1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)]
  np.testing.assert_allclose(-np.diff(seen), half + falling, rtol=1e-4)


def test_it_ends_when_it_is_told():
  epochs = []

  def on_epoch(epoch, loss):
    epochs.append(epoch)
    return epoch == 2

  trained_weights(epochs=5, on_epoch=on_epoch)
  assert epochs == [1, 2]


def test_someone_who_listens_changes_nothing_and_hears_of_parts(monkeypatch):
  monkeypatch.setattr('rlnas.child.train._FIRST_STEPS', 1)
  monkeypatch.setattr('rlnas.child.train._TOLD_SECONDS', 1e-9)
  alone, heard_of = digits_model(), digits_model()
  options = {'epochs': 2, 'seed': 3, 'batch_size': 50}
  loss = train(alone, DIGITS, **options)
  steps = []
  with told_to(steps.append):
    assert train(heard_of, DIGITS, **options) == pytest.approx(loss, rel=1e-6)
  for one, other in zip(alone.get_weights(), heard_of.get_weights(), strict=True):
    assert (one == other).all()
  parts = len(DIGITS.x_train) // 50
  expected = [epoch + part / parts for epoch in range(2) for part in range(1, parts + 1)]
  assert [step.done for step in steps] == [0, *expected]
  assert {step.total for step in steps} == {2}


def test_another_loss_is_made_small():
  def to_the_last_class(x, labels, logits):
    return cross_entropy(x, tf.fill(tf.shape(labels), DIGITS.classes - 1), logits)

  model = digits_model()
  train(model, DIGITS, epochs=8, seed=0, batch_size=32, loss=to_the_last_class)
  logits = model.predict(DIGITS.scaling.apply(DIGITS.x_train), verbose=0)
  assert (logits.argmax(1) == DIGITS.classes - 1).mean() > 0.9


def test_accuracy_counts_every_example():
  rng = np.random.default_rng(0)
  x = rng.integers(0, 256, (1203, 2, 2, 3)).astype(np.uint8)  # two whole batches and a part
  model = dense_model(TaskShape((2, 2, 3), 3))
  for scaling in (PIXELS, Scaling(100.0, 30.0)):
    labels = model.predict((x - scaling.offset) / scaling.scale, verbose=0).argmax(1)
    y = np.where(rng.random(1203) < 0.7, labels, (labels + 1) % 3)
    expected = np.mean(y == labels)
    assert 0.6 < expected < 0.8
    # A logit near a tie may round differently: one example is 0.0008.
    assert accuracy(model, x, y, scaling=scaling) == pytest.approx(expected, abs=0.002)


def test_confusions_are_counted_by_label_and_largest_logit():
  rng = np.random.default_rng(0)
  x = rng.integers(0, 256, (1203, 2, 2, 3)).astype(np.uint8)  # two whole batches and a part
  model = dense_model(TaskShape((2, 2, 3), 3))
  labels = model.predict(PIXELS.apply(x), verbose=0).argmax(1)
  y = np.where(rng.random(1203) < 0.7, labels, rng.integers(0, 2, 1203))  # class 2 is rare
  count = confusion_function(model, x, y, scaling=PIXELS)
  expected = confusion_matrix(y, labels, classes=3)
  assert count().sum() == 1203
  assert np.abs(count() - expected).max() <= 2  # near ties
  model.set_weights([np.zeros_like(w) for w in model.get_weights()])
  np.testing.assert_array_equal(count()[:, 0], np.bincount(y, minlength=3))


def test_for_accuracy_the_loss_is_the_very_same():
  assert loss_for(Metric.ACCURACY, DIGITS) is cross_entropy
  ours, theirs = digits_model(), digits_model()
  train(ours, DIGITS, epochs=1, seed=5, loss=loss_for(Metric.ACCURACY, DIGITS))
  train(theirs, DIGITS, epochs=1, seed=5)
  assert all(map(np.array_equal, ours.get_weights(), theirs.get_weights()))


@pytest.mark.parametrize('metric', [Metric.BALANCED_ACCURACY, Metric.MACRO_F1])
def test_otherwise_all_classes_count_alike(metric):
  """The mean weighted loss over the training data is the mean of the classes' mean losses."""
  y = np.repeat([0, 1, 2], [90, 7, 3]).astype(np.int32)
  data = dataclasses.replace(DIGITS, y_train=y, class_names=('a', 'b', 'c'))
  logits = tf.constant(np.random.default_rng(0).normal(size=(100, 3)), tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(logits)
    mean = tf.reduce_mean(loss_for(metric, data)(None, tf.constant(y), logits))
  plain = cross_entropy(None, tf.constant(y), logits).numpy()
  assert float(mean) == pytest.approx(np.mean([plain[y == c].mean() for c in range(3)]), rel=1e-5)
  # d loss / d logits of cross-entropy is softmax - one-hot.
  softmax = tf.nn.softmax(logits).numpy()
  expected = class_weights(y, classes=3)[y, None] * (softmax - np.eye(3)[y]) / 100
  np.testing.assert_allclose(tape.gradient(mean, logits), expected, rtol=1e-4, atol=1e-7)
  of_class = [np.abs(expected[y == c]).sum() for c in range(3)]
  assert max(of_class) < 3 * min(of_class)


def test_accuracy_of_equal_logits_is_the_share_of_the_first_class():
  model = dense_model(TaskShape((2, 2, 1), 4))
  model.set_weights([np.zeros_like(w) for w in model.get_weights()])
  x, y = np.ones((8, 2, 2, 1), np.uint8), np.array([0, 0, 1, 2, 3, 1, 2, 0])
  assert accuracy(model, x, y, scaling=UNSCALED) == 3 / 8


def test_accuracy_wants_one_label_an_example():
  model = dense_model(TaskShape((2, 2, 1), 4))
  for examples, labels in ((0, 0), (3, 2)):
    with pytest.raises(ValueError, match=f'for each of {examples} examples'):
      accuracy(model, np.ones((examples, 2, 2, 1)), np.zeros(labels), scaling=UNSCALED)


def test_layers_of_other_shapes_train_in_the_same_process():
  """One-pixel maps, and images that are not square."""
  for input_shape in ((1, 1, 1), (5, 3, 2)):
    graph = Graph()
    x = layers.separable_conv(graph, graph.input, filters=3, kernel=5, stride=2)
    model = build(graph.finish(graph.classify(x)), TaskShape(input_shape, 2), seed=0)
    x_train = np.random.default_rng(0).integers(0, 9, (9, *input_shape)).astype(np.uint8)
    data = dataclasses.replace(DIGITS, x_train=x_train, y_train=np.arange(9, dtype=np.int32) % 2)
    shifts = Augmentation(shift_pixels=1)
    loss = train(model, data, epochs=2, seed=0, batch_size=4, augmentation=shifts)
    assert math.isfinite(loss)


def sequences(count=256):
  """Sequences of features of very different range, with outliers."""
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, count).astype(np.int32)
  x = rng.standard_t(2.5, size=(count, 49, 10)) + 2 * y[:, None, None]
  x = x.astype(np.float32)
  return dataclasses.replace(DIGITS, x_train=x, y_train=y, scaling=UNSCALED, class_names=('a', 'b'))


@pytest.mark.parametrize(
  ('halvings', 'shrink', 'diverges'),
  [(20, 0.9, False), (20, 1.0, False), (0, 0.9, False), (0, 1.0, True)],
  ids=['as usual', 'smaller before the training', 'smaller during the training', 'neither'],
)
def test_a_cell_that_multiplies_its_state_does_not_diverge(monkeypatch, halvings, shrink, diverges):
  choice = {'combination': 'multiply', 'activation': 'identity', 'cell_index': 6}
  _, _, architecture = walk(Recurrent(), lambda d: d.choices.index(choice[d.kind]))
  data = sequences()
  monkeypatch.setattr('rlnas.child.train._MOST_HALVINGS', halvings)
  monkeypatch.setattr('rlnas.child.train._SHRINK', shrink)
  model = build(architecture, data.task, seed=0)
  expected = contextlib.nullcontext()
  if diverges:
    expected = pytest.raises(FloatingPointError, match='loss nan in epoch 1 of 2')
  with expected:
    assert math.isfinite(train(model, data, epochs=2, seed=0, batch_size=4))


def test_the_gradient_of_sequences_is_bounded_and_that_of_images_is_not():
  data = sequences(count=64)
  steep = dataclasses.replace(data, scaling=Scaling(0.0, 0.01))
  images = dataclasses.replace(DIGITS, scaling=Scaling(0.0, 1e-3))
  norms = []
  for dataset in (steep, images):
    graph = Graph()
    if dataset is steep:
      x = graph.add('frames', graph.input, first=0, count=3)
      network = graph.finish(graph.add('classifier', x))
    else:
      network = graph.finish(graph.classify(graph.input))
    trainer = Trainer(build(network, dataset.task, seed=0), dataset, batch_size=64)
    trainer.run(epochs=1, seed=0, examples=64)
    first_moments = [first for _, first, _ in trainer._adam._slots]
    norms.append(float(tf.linalg.global_norm(first_moments)) / 0.1)  # of the only step
  assert norms[0] == pytest.approx(MAX_GRADIENT_NORM, rel=1e-4)
  assert norms[1] > 2 * MAX_GRADIENT_NORM
