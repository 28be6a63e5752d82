"""The metrics of a search against scikit-learn's, and what is said of unequal classes."""

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.utils.class_weight import compute_class_weight

from rlnas.data.assembling import assemble
from rlnas.data.description import describe
from rlnas.data.metrics import (
  Metric,
  chance_confusion,
  class_weights,
  confusion_matrix,
  largest_class,
  recall_by_class,
)

REFERENCE = {
  Metric.ACCURACY: reference.accuracy_score,
  Metric.BALANCED_ACCURACY: reference.balanced_accuracy_score,
  Metric.MACRO_F1: lambda y, named: reference.f1_score(y, named, average='macro', zero_division=0),
}


def drawn(seed, *, labels=4, named=4):
  """Labels and named classes in [0, 6), of unequal frequency; some classes do not occur."""
  rng = np.random.default_rng(seed)
  y = np.minimum(rng.geometric(0.6, 60) - 1, labels - 1)
  return y, np.where(rng.random(60) < 0.6, y, rng.integers(0, named, 60))


@pytest.mark.filterwarnings('ignore:y_pred contains classes not in y_true')
@pytest.mark.parametrize('metric', REFERENCE)
@pytest.mark.parametrize(('labels', 'named'), [(4, 4), (2, 6), (5, 2)])
def test_metrics_are_scikit_learns(metric, labels, named):
  for seed in range(20):
    y, found = drawn(seed, labels=labels, named=named)
    confusion = confusion_matrix(y, found, classes=6)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(y, found, labels=range(6)))
    assert metric.of(confusion) == pytest.approx(REFERENCE[metric](y, found), abs=1e-12)


def test_recalls_are_scikit_learns():
  y, found = drawn(0)
  recalls = recall_by_class(confusion_matrix(y, found, classes=5))
  assert recalls[4] is None
  assert recalls[:4] == pytest.approx(reference.recall_score(y, found, average=None))


def test_chance_names_one_class():
  counts = [97, 1, 1, 1]
  confusion = chance_confusion(counts, 0)
  assert Metric.ACCURACY.of(confusion) == 0.97
  assert Metric.BALANCED_ACCURACY.of(confusion) == 0.25
  assert Metric.MACRO_F1.of(confusion) == pytest.approx(2 * 97 / (100 + 97) / 4)
  assert largest_class(np.array([2, 1, 2, 0, 1]), classes=4) == 1, 'of equals the first'


def test_class_weights_are_scikit_learns_and_have_a_mean_of_one():
  y = np.repeat([0, 1, 3], [97, 2, 1])
  weights = class_weights(y, classes=5)
  present = compute_class_weight('balanced', classes=np.array([0, 1, 3]), y=y)
  assert weights.tolist() == pytest.approx([present[0], present[1], 0, present[2], 0])
  assert weights[y].mean() == pytest.approx(1)


def test_a_metric_has_a_name():
  assert [metric.label for metric in Metric] == [
    *('accuracy', 'balanced accuracy', 'macro F1', 'R²', 'AUC', 'partial AUC')
  ]
  with pytest.raises(ValueError, match="metric='f1': must be one of accuracy, balanced_accuracy"):
    Metric('f1')


def line_on_chance(*sizes, metric=Metric.ACCURACY):
  y = np.repeat(np.arange(len(sizes)), sizes)
  x = np.arange(len(y) * 16, dtype=np.int64).reshape(-1, 4, 4, 1).astype(np.uint8)
  names = ('normal', 'a', 'b', 'c')[: len(sizes)]
  data = assemble('made', (x, y), class_names=names, source='')
  return [line for line in describe(data, metric=metric) if line.startswith('chance')]


def test_a_large_class_is_told_before_a_search():
  advice = '; --metric=balanced_accuracy counts all classes alike'
  told = "chance   always 'normal': accuracy "
  assert line_on_chance(970, 10, 10, 10) == [f'{told}0.970{advice}']
  assert line_on_chance(60, 20, 10, 10) == [f'{told}0.600']
  assert line_on_chance(90, 10) == [f'{told}0.900']
  assert line_on_chance(75, 25) == line_on_chance(30, 25, 25, 20) == []
  assert line_on_chance(970, 10, 10, 10, metric=Metric.BALANCED_ACCURACY) == [
    f'{told}0.970, balanced accuracy 0.250'
  ]
