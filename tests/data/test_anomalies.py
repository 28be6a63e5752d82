"""Anomaly detection: how its splits are made, its scores, its metrics and its thresholds."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rlnas.data import loaders
from rlnas.data.anomalies import thresholds_of
from rlnas.data.assembling import assemble
from rlnas.data.description import describe
from rlnas.data.metrics import Metric, metrics_of
from rlnas.data.shapes import as_pixel
from rlnas.data.tasks import RECONSTRUCTION, Task
from rlnas.reports.anomaly_metrics import assess_scores

X = np.random.default_rng(0).normal(size=(100, 4, 3)).astype(np.float32)
ODD = np.array(['normal'] * 80 + ['rust', 'crack'] * 10)


def numbers(*arrays):
  """The examples of some splits, by their first value."""
  return [set(x[:, 0, 0].tolist()) for x in arrays]


def test_labels_of_one_kind_in_training_mean_anomaly_detection():
  data = assemble(
    'made', (X[:60], np.zeros(60, int)), test=(X[60:], np.arange(40) % 3), source='test'
  )
  assert data.head == RECONSTRUCTION
  assert data.class_names == ('normal', 'anomaly')
  assert data.task.classes == data.outputs == 12
  assert not data.y_train.any()
  for y in (data.y_val, data.y_test):
    assert y.dtype == np.int32
    assert len(y) == 20
    assert 12 <= np.count_nonzero(y) <= 14
  val, test = numbers(data.x_val, data.x_test)
  assert not val & test
  assert any('half of the test examples' in note for note in data.notes)
  assert any(line.startswith('anomalies ') for line in describe(data, metric=Metric.AUC))


def test_anomalies_among_the_training_examples_are_not_trained_on():
  data = assemble('made', (X, ODD), source='test', task='anomaly')
  train, val, test = numbers(data.x_train, data.x_val, data.x_test)
  assert not train & numbers(X[80:])[0]
  assert len(train) + len(val) + len(test) == 100
  assert [int(y.sum()) for y in (data.y_train, data.y_val, data.y_test)] == [0, 10, 10]
  given = assemble('made', (X, ODD), val=(X, ODD), test=(X, ODD), source='test', task=Task.ANOMALY)
  assert len(given.x_train) == 80
  assert '20 anomalies of the training data are left out' in given.notes


def test_groups_stay_together():
  groups = np.repeat(np.arange(20), 5)
  data = assemble('made', (X, ODD), source='test', task='anomaly', groups=groups)
  of = dict(zip(X[:, 0, 0].tolist(), groups.tolist(), strict=True))
  found = [{of[v] for v in x[:, 0, 0].tolist()} for x in (data.x_train, data.x_val, data.x_test)]
  assert sum(map(len, found)) == len(set().union(*found)) == 20
  assert [len(set(g.tolist())) for g in (data.groups_val, data.groups_test)] == [
    len(found[1]),
    len(found[2]),
  ]


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: assemble('a', (X, np.zeros(100, int)), source='', task='anomaly'),
      'y_train: has 0 anomalous examples; must have at least 2',
    ),
    (
      lambda: assemble('a', (X, np.arange(100) % 2 + 5), source='', task='anomaly'),
      'y_train: has the labels 5, 6; one must be named normal, ok, good, 0',
    ),
    (
      lambda: assemble(
        *('a', (X[:60], ODD[:60])),
        val=(X[60:80], ODD[60:80]),
        test=(X[70:], ODD[70:]),
        source='',
        task='anomaly',
      ),
      'y_val: every example is normal; must have normal and anomalous ones',
    ),
  ],
)
def test_what_is_wrong_is_named(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_pixels_hold_the_same_bytes_and_keep_their_scaling():
  data = assemble('made', (X, ODD), source='test', task='anomaly')
  pixels = as_pixel(data)
  assert pixels.input_shape == (1, 1, 12)
  assert pixels.x_val.tobytes() == data.x_val.tobytes()
  seen = data.scaling.inputs(data.x_val)
  np.testing.assert_array_equal(pixels.scaling.inputs(pixels.x_val).ravel(), seen.ravel())
  assert loaders.as_pixel(loaders.load('digits')).task.input_shape == (1, 1, 64)


def test_a_score_is_the_mean_squared_difference():
  inputs = X[:5]
  outputs = inputs.reshape(5, 12) + np.arange(5)[:, np.newaxis]
  np.testing.assert_allclose(
    RECONSTRUCTION.answers(outputs, inputs), np.arange(5) ** 2, rtol=1e-5, atol=1e-9
  )


@pytest.mark.parametrize('examples', [2, 7, 200])
@pytest.mark.parametrize('decimals', [0, 9])  # with and without equal scores
def test_areas_are_scikit_learns(examples, decimals):
  rng = np.random.default_rng(1)
  for _ in range(20):
    truth = rng.permutation(np.arange(examples) % 2)
    scores = np.round(rng.normal(size=examples) + truth, decimals)
    for metric, most in ((Metric.AUC, None), (Metric.PARTIAL_AUC, 0.1)):
      expected = roc_auc_score(truth, scores, max_fpr=most)
      assert metric.judge(truth, scores, outputs=9) == pytest.approx(expected, abs=1e-12)


def test_scores_that_are_not_finite_have_no_area():
  assert Metric.AUC.judge(np.arange(200) % 2, np.full(200, np.nan), outputs=9) == 0
  assert metrics_of(Task.ANOMALY) == (Metric.AUC, Metric.PARTIAL_AUC)


def test_thresholds_give_at_most_their_rate_of_false_alarms():
  rng = np.random.default_rng(2)
  truth, scores = np.arange(400) % 2, rng.normal(size=400) + np.arange(400) % 2
  found = assess_scores(truth, scores, thresholds=thresholds_of(truth, scores))
  for alarm in found.alarms:
    assert alarm.rate - 1 / 200 <= alarm.false_alarms <= alarm.rate
    assert alarm.found > alarm.false_alarms
  low, high = found.interval
  assert low < found.auc < high
