"""The scaling of float data with awkward features."""

import numpy as np
import pytest

from rlnas.data import as_images, assemble
from rlnas.data.description import clipped, describe
from rlnas.data.int8_range import coarse_features, gap_warning
from rlnas.data.scaling import Scaling
from rlnas.data.standardise import LIMIT, standardising, storage_type


def recordings(n=400, steps=20, features=5, seed=0):
  return np.random.default_rng(seed).normal(size=(n, steps, features))


def float32(x):
  return x.astype(np.float32)


def dataset(x, **options):
  return assemble('made', (x, np.arange(len(x)) % 2), source='', **options)


@pytest.mark.parametrize('units', [1.0, np.geomspace(1e-6, 1e6, 5)])
def test_clean_features_keep_mean_and_deviation(units):
  x = float32((recordings() + 3) * units)
  scaling = standardising(x)
  np.testing.assert_allclose(scaling.offset, x.mean((0, 1), dtype=float), rtol=1e-6)
  np.testing.assert_allclose(scaling.scale, x.std((0, 1), dtype=float), rtol=1e-6)
  np.testing.assert_array_equal(scaling.apply(x), scaling.without_limit(x))  # nothing saturates


@pytest.mark.parametrize(
  'draw',
  [
    lambda rng, shape: rng.uniform(size=shape),
    lambda rng, shape: rng.laplace(size=shape),
    lambda rng, shape: (rng.random(shape) < 0.06) * 1.0,
    lambda rng, shape: np.where(rng.random(shape) < 0.03, 50, 1) * rng.normal(size=shape),
  ],
  ids=['uniform', 'laplace', 'rare ones', 'bursts'],
)
def test_features_that_are_not_normal_are_not_clipped_either(draw):
  x = float32(draw(np.random.default_rng(1), (400, 20, 3)))
  scaling = standardising(x)
  np.testing.assert_allclose(scaling.scale, x.std((0, 1), dtype=float), rtol=0.1)
  assert (scaling.apply(x) != scaling.without_limit(x)).mean() < 4e-3  # of the bursts, a tenth


def test_corrupt_readings_do_not_widen_the_scale():
  x = float32(recordings())
  clean = standardising(x)
  x[:30, 7, 2] = 32767
  scaling = standardising(x)
  np.testing.assert_allclose(scaling.scale, clean.scale, rtol=0.3)
  np.testing.assert_allclose(scaling.offset, clean.offset, atol=0.1)
  assert np.abs(scaling.apply(x)).max() == LIMIT


def test_a_feature_at_its_floor_does_not_take_the_range():
  x = float32(20 * recordings())
  x[..., 4] = -16
  x[:5, 3, 4] = 30
  scaling = standardising(x)
  np.testing.assert_allclose(scaling.scale[:4], x.std((0, 1))[:4], rtol=1e-3)
  assert scaling.scale[4] == pytest.approx(46 / LIMIT, rel=1e-3)  # its frames are just within
  x[:5, 3, 4] = 3000
  assert np.unique(standardising(x).apply(x)[..., 4])[1:] == [LIMIT]


def test_rounding_errors_are_no_signal():
  x = recordings()
  x[..., 1] = 0.3 + 1e-9 * x[..., 1]
  assert standardising(float32(x)).scale[1] == 1


def test_rare_pixels_of_a_column_keep_the_unit_of_the_others():
  x = np.random.default_rng(0).uniform(0, 255, (300, 20, 8))
  x[..., 0] *= np.random.default_rng(1).random((300, 20)) < 0.012
  seen = standardising(float32(x)).apply(float32(x))
  assert len(np.unique(seen[..., 0])) > 50  # not all saturated


@pytest.mark.parametrize(
  ('x', 'dtype'),
  [
    (recordings(), np.float32),
    (1000 + recordings(), np.float32),
    (1e9 + recordings(), np.float64),
    (float32(1e9 + recordings()), np.float32),
    ((1e9 + 1000 * recordings()).astype(np.int64), np.float64),
    (np.arange(8000).reshape(400, 20, 1), np.float32),
    (np.arange(400).reshape(40, 10, 1).astype(np.uint16), np.float32),
  ],
)
def test_digits_are_kept_where_they_are_needed(x, dtype):
  assert storage_type('x_train', x) == dtype


def test_time_stamps_keep_their_digits():
  x = 1e9 + recordings()
  data = dataset(x)
  assert data.x_train.dtype == data.x_test.dtype == data.scaling.offset.dtype == np.float64
  every = np.concatenate((data.x_train, data.x_val, data.x_test))
  seen = data.scaling.inputs(every)
  assert len(np.unique(seen)) > 0.99 * x.size
  np.testing.assert_allclose(seen.std((0, 1)), 1, rtol=0.05)
  whole = dataset(np.rint(1000 * recordings()).astype(np.int64) + 10**15)
  assert len(np.unique(whole.x_train)) > 1000


def test_digits_that_float32_has_lost_are_told():
  assert dataset(recordings()).notes == ()
  x = recordings()
  x[..., 2] += 1e7
  (note,) = dataset(float32(x)).notes
  assert note.startswith('feature 2: float32 tells few of its values apart')


def test_the_description_says_what_there_is_and_what_is_clipped():
  x = recordings()
  x[:3, 0, 2], x[5, 1, 4] = 1e6, -1e4
  lines = describe(as_images(dataset(x, notes=('a file was skipped',))))
  assert lines[:3] == (
    'examples 320 training, 40 validation, 40 test; 20 time steps of 5 features, as images, '
    'float32',
    'classes  0 200, 1 200',
    'note     a file was skipped',
  )
  assert lines[3].startswith('clipped  feature 2: 3 of 8,000 values, beyond 10 deviations (up to ')
  assert lines[4].startswith('clipped  feature 4: 1 of 8,000 values')
  assert len(lines) == 5
  assert [(one.feature, one.count) for one in clipped(dataset(x))] == [(2, 3), (4, 1)]


def test_many_classes_are_one_line():
  x = np.zeros((200, 4, 4, 3), np.uint8)
  x[::2] = 9
  y = np.minimum(np.arange(200) // 5, 30)
  data = assemble('many', (x, y), source='')
  assert describe(data) == (
    'examples 130 training, 35 validation, 35 test; images of 4 x 4, 3 channels, uint8',
    'classes  31: 0 5 (fewest) to 30 50',
    "chance   always '30': accuracy 0.250; --metric=balanced_accuracy counts all classes alike",
  )


def test_the_warning_names_the_feature_that_takes_the_range():
  x = recordings()
  x[7, 3, 1] = 900
  data = dataset(x)
  assert coarse_features(data) == ''  # the limit of the scaling prevents it
  assert gap_warning(0.93, 0.92, data) == ''
  warned = gap_warning(0.93, 0.45, data)
  assert warned.startswith(
    'int8 loses 48.0 points of accuracy (0.9300 to 0.4500). The input is not'
  )
  plain = float32(x)
  of_old = Scaling(plain.mean((0, 1)), plain.std((0, 1)))
  spoilt = assemble('spoilt', (x, np.arange(400) % 2), source='')
  object.__setattr__(spoilt, 'scaling', of_old)
  spoilt.x_train[0, 0, 1] = 900
  told = gap_warning(0.93, 0.45, spoilt)
  assert 'because of feature 1; the usual values of feature ' in told
