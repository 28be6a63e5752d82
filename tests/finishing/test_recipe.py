import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rlnas.child.augment import Augmentation
from rlnas.child.builder import build
from rlnas.child.train import accuracy, cross_entropy, loss_for, train
from rlnas.data import loaders
from rlnas.data.metrics import Metric
from rlnas.finishing.recipe import Recipe, finish, train_by
from rlnas.progress import told_to
from rlnas.tflite.inference import int8_accuracy, int8_logits
from tests.child.test_builder import small_network

DATA = loaders.digits()
FEW = loaders.take(DATA, 200)


def test_quantization_costs_little():
  recipe = Recipe(10, learning_rate=0.02, warmup=0.1, augmentation=Augmentation(shift_pixels=1))
  found = finish(small_network(32), DATA, recipe=recipe, seed=0)
  assert found.validation_accuracy > 0.6  # 0.1 is chance
  assert found.int8_validation_accuracy == pytest.approx(found.validation_accuracy, abs=0.03)
  x, y = DATA.x_val, DATA.y_val
  assert found.validation_accuracy == accuracy(found.network, x, y, scaling=DATA.scaling)
  assert found.int8_validation_accuracy == int8_accuracy(found.model, x, y, scaling=DATA.scaling)


@pytest.mark.slow
def test_someone_who_listens_hears_of_all_epochs_and_the_accuracy():
  recipe = Recipe(3, further_epochs=2)
  steps = []
  with told_to(steps.append):
    finish(small_network(), FEW, recipe=recipe, seed=0)
  done = [step.done for step in steps]
  assert done == sorted(done)
  assert (done[0], done[-1]) == (0, 7)  # and twice two further epochs
  assert {step.total for step in steps} == {7}
  told = [step.accuracy for step in steps if step.accuracy is not None]
  assert told
  assert all(0 <= reached <= 1 for reached in told)


def test_progress_is_told_and_may_end_the_training():
  heard = []

  def on_epoch(epoch, loss):
    heard.append((epoch, loss))
    return epoch == 2

  finish(small_network(), FEW, recipe=Recipe(5), seed=0, on_epoch=on_epoch)
  assert [epoch for epoch, _ in heard] == [1, 2]
  assert all(np.isfinite(loss) for _, loss in heard)


def weights_by_epoch(recipe):
  """Validation accuracy and weights after each epoch, and the weights in the end."""
  network = build(small_network(), FEW.task, seed=0)
  seen = []

  def on_epoch(epoch, loss):
    seen.append(
      (accuracy(network, FEW.x_val, FEW.y_val, scaling=DATA.scaling), network.get_weights())
    )

  train_by(recipe, network, FEW, seed=0, on_epoch=on_epoch)
  return seen, network.get_weights()


@pytest.mark.slow
def test_patience_ends_a_training_and_keeps_its_best_epoch():
  """At this learning rate the accuracy goes up and down."""
  recipe = Recipe(30, learning_rate=0.3, batch_size=50)
  whole, last = weights_by_epoch(recipe)
  assert len(whole) == 30
  assert all(map(np.array_equal, last, whole[-1][1]))
  seen, kept = weights_by_epoch(dataclasses.replace(recipe, patience=3))
  accuracies = [value for value, _ in seen]
  assert accuracies == [value for value, _ in whole][: len(seen)]
  best = max(accuracies)
  first = accuracies.index(best)
  assert len(seen) == first + 4 < 30
  latest = max(i for i, value in enumerate(accuracies) if value == best)
  assert all(map(np.array_equal, kept, seen[latest][1]))


@pytest.mark.slow
def test_another_metric_decides_and_weights_every_training():
  """Seven of ten digits are rare. The best epoch, and the best of three models, is by macro F1."""
  kept = np.flatnonzero((FEW.y_train < 3) | (np.arange(len(FEW.y_train)) % 4 == 0))
  data = dataclasses.replace(FEW, x_train=FEW.x_train[kept], y_train=FEW.y_train[kept])
  metric, seen = Metric.MACRO_F1, []

  def loss(x, labels, logits):
    seen.append(labels.shape)
    return cross_entropy(x, labels, logits)

  recipe = Recipe(3, learning_rate=0.1, batch_size=32, patience=2, further_epochs=1, metric=metric)
  found = finish(small_network(), data, recipe=recipe, seed=0, loss=loss)
  assert len(seen) == 3, 'one graph each: the training, the further one, that of the twin'
  assert found.int8_validation_accuracy == max(value for _, value in found.compared)
  x, y = data.x_val, data.y_val
  named = int8_logits(found.model, x, scaling=data.scaling).argmax(1)
  f1 = f1_score(y, named, average='macro', zero_division=0)
  assert found.int8_validation_accuracy == pytest.approx(f1, abs=1e-12)
  twin = build(small_network(), data.task, seed=0)
  train_by(dataclasses.replace(recipe, epochs=1, patience=None), twin, data, seed=0)
  weighted = build(small_network(), data.task, seed=0)
  options = {'epochs': 1, 'seed': 0, 'batch_size': 32, 'learning_rate': 0.1}
  train(weighted, data, **options, loss=loss_for(metric, data))
  assert all(map(np.array_equal, twin.get_weights(), weighted.get_weights()))


@pytest.mark.parametrize('name', ['epochs', 'batch_size', 'patience'])
def test_bad_recipes_are_refused(name):
  with pytest.raises(ValueError, match=f'{name}=0: must be at least 1'):
    Recipe(**{'epochs': 1, name: 0})
