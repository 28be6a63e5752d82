"""Regressions: what labels are values, how they are split and checked, and their metric."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from rlnas.data import loaders
from rlnas.data.assembling import assemble
from rlnas.data.dataset import validate
from rlnas.data.description import describe
from rlnas.data.metrics import Metric, metric_for, metrics_of
from rlnas.data.scaling import Scaling
from rlnas.data.tasks import CLASSES, Head, Task, task_of
from rlnas.reports.regression_metrics import assess_values

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 1, 1, 3)).astype(np.float32)
Y = 5 + X[:, 0, 0] @ np.array([[1.0, 0], [2, 1], [0, 3]]) * (1, 100)  # [N, 2]


def regression(**given):
  return assemble('made', (X, Y), source='test', **given)


@pytest.mark.parametrize(
  ('y', 'task'),
  [
    (np.arange(40), Task.CLASSIFICATION),
    (np.array(['a', 'b']), Task.CLASSIFICATION),
    (np.array([0.0, 1, 2, 1]), Task.CLASSIFICATION),
    (np.array([0.5, 1, 2]), Task.REGRESSION),
    (np.arange(40.0), Task.REGRESSION),
    (np.array([0.5, np.nan]), Task.REGRESSION),
    (np.eye(3), Task.CLASSIFICATION),  # which is then refused, with advice
  ],
)
def test_the_task_is_guessed_from_the_labels(y, task):
  assert task_of(y) is task


def test_values_are_kept_in_their_unit_and_learned_without_it():
  data = regression(class_names=('length', 'weight'))
  assert data.head.task is Task.REGRESSION
  assert data.y_train.dtype == np.float64
  assert data.task.classes == data.classes == 2
  assert [len(data.y_train), len(data.y_val), len(data.y_test)] == [160, 20, 20]
  together = np.concatenate([data.y_train, data.y_val, data.y_test])
  assert np.array_equal(np.sort(together, 0), np.sort(Y, 0))
  wanted = data.head.wanted(data.y_train)
  np.testing.assert_allclose(wanted.mean(0), 0, atol=1e-6)
  np.testing.assert_allclose(wanted.std(0), 1, rtol=1e-6)
  given = data.head.answers(wanted, data.x_train)
  np.testing.assert_allclose(given, data.y_train, rtol=1e-5)
  lines = describe(data, metric=Metric.R2)
  assert any(line.startswith('value    weight: ') for line in lines)


def test_every_part_of_the_range_is_in_every_split():
  y = np.arange(300.0)
  data = assemble('made', (np.tile(X, (2, 1, 1, 1))[:300], y), source='test', test_fraction=0.2)
  for split in (data.y_val, data.y_test):
    tenths, counts = np.unique(split[:, 0] // 30, return_counts=True)
    assert len(tenths) == 10
    assert np.ptp(counts) == 0


def test_groups_lie_in_one_split():
  groups = np.arange(200) // 10
  data = regression(groups=groups)
  numbers = dict(zip(Y[:, 0], groups, strict=True))
  found = [{numbers[v] for v in y[:, 0]} for y in (data.y_train, data.y_val, data.y_test)]
  assert sum(map(len, found)) == len(set().union(*found)) == 20


def broken(column, value):
  y = Y.copy()
  y[3, column] = value
  return y


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: assemble('a', (X, broken(1, np.nan)), source=''), r'y_train: holds NaN .* row 3'),
    (lambda: assemble('a', (X, broken(0, np.inf)), source=''), r'y_train: holds NaN .* 1 of 200'),
    (lambda: assemble('a', (X, Y[:100]), source=''), r'y_train: has shape \(100, 2\)'),
    (
      lambda: assemble('a', (X, np.full(200, 2.5)), source=''),
      r"y_train: target 'y' is 2.5 in all 200 examples; must vary",
    ),
    (
      lambda: assemble('a', (X, Y), val=(X[:9], np.ones((9, 2))), source=''),
      r"y_val: target 'y0' is 1 in all 9 examples",
    ),
    (
      lambda: assemble('a', (X, Y), val=(X[:9], Y[:9, 0]), source=''),
      r'y_val: has 1 values; those of y_train have 2',
    ),
    (lambda: regression(class_names=('one',)), r"class_names=\('one',\): must be 2 different"),
    (
      lambda: assemble('a', (X, np.array(['a'] * 200)), source='', task='regression'),
      r'y_train: is of type <U1; the values of a regression must be numbers',
    ),
    (
      lambda: regression(task='ranking'),
      r"task='ranking': must be one of classification, regression, anomaly",
    ),
    (lambda: Head(Task.REGRESSION), r'targets=None: a regression must have them'),
    (lambda: metric_for(regression(), Metric.ACCURACY), r"metric='accuracy': must be one of r2"),
    (lambda: loaders.load('digits', task='regression'), r'task=regression: is for your own data'),
  ],
)
def test_what_is_wrong_is_named(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_a_data_set_with_values_of_another_type_is_refused():
  data = regression()
  with pytest.raises(ValueError, match='y_val: is of type float32'):
    validate(dataclasses.replace(data, y_val=data.y_val.astype(np.float32)))


def test_whole_numbers_are_values_if_the_task_says_so():
  data = assemble('made', (X, np.arange(200) % 7), source='test', task='regression')
  assert data.head.task is Task.REGRESSION
  assert set(data.y_train[:, 0]) == set(range(7))
  assert assemble('made', (X, np.arange(200) % 7), source='test').head == CLASSES


def test_r2_is_scikit_learns_and_not_below_0():
  for scale in (0.1, 0.5, 10):
    answers = Y + RNG.normal(size=Y.shape) * scale * (1, 100)
    found = Metric.R2.judge(Y, answers, outputs=2)
    assert found == pytest.approx(max(0, r2_score(Y, answers)), rel=1e-9)
  assert Metric.R2.judge(Y, np.full_like(Y, np.nan), outputs=2) == 0
  assert metrics_of(Task.REGRESSION) == (Metric.R2,)
  assert metric_for(regression()) is Metric.R2


def test_errors_are_those_of_scikit_learn_in_the_unit_of_the_values():
  answers = Y + RNG.normal(size=Y.shape)
  head = Head(Task.REGRESSION, Scaling(Y.mean(0), Y.std(0)))
  found = assess_values(Y, answers, names=('a', 'b'), head=head)
  for column, value in enumerate(found.values):
    pair = Y[:, column], answers[:, column]
    assert value.r2 == pytest.approx(r2_score(*pair))
    assert value.mae == pytest.approx(mean_absolute_error(*pair))
    assert value.rmse == pytest.approx(root_mean_squared_error(*pair))
    assert value.mean_rmse == pytest.approx(Y[:, column].std())
    assert [r.examples for r in value.ranges] == [40] * 5
    assert value.mae == pytest.approx(np.mean([r.mae for r in value.ranges]))
  low, high = found.interval
  assert 0 < low < found.quality < high < 1


@pytest.mark.parametrize('name', ['diabetes', 'auto_mpg'])
def test_the_tables_of_packages_are_regressions(name):
  data = loaders.load(name)
  assert data.head.task is Task.REGRESSION
  assert data.input_shape[:2] == (1, 1)
  assert len(data.features) == data.input_shape[2] == data.scaling.features
  assert len(data.x_train) + len(data.x_val) + len(data.x_test) == {'diabetes': 442}.get(name, 392)


def test_a_column_of_numbers_is_read_as_values(tmp_path):
  path = tmp_path / 'houses.csv'
  rows = [f'{i},{i * i},{i / 2}' for i in range(60)]
  path.write_text('\n'.join(['area,rooms,target', *rows]))
  data = loaders.load(path)
  assert data.head.task is Task.REGRESSION
  assert data.features == ('area', 'rooms')
  path.write_text('\n'.join(['area,rooms,target', *(f'{i},{-i},{i % 2 + 0.5}' for i in range(60))]))
  assert loaders.load(path).class_names == ('0.5', '1.5')
  assert loaders.load(path, task='regression').head.task is Task.REGRESSION
