import numpy as np
import pytest

from rlnas.data.scaling import PIXELS, Scaling

ROW = np.array([1, 2], np.float32)


def test_what_the_network_sees():
  x = np.array([[3, 6], [5, 10]], np.float32)
  np.testing.assert_array_equal(Scaling(1.0, ROW).apply(x), [[2, 2.5], [4, 4.5]])
  assert Scaling(1.0, ROW).apply(x).dtype == np.float32


def test_equal_numbers_in_equal_shapes_are_equal():
  for make in (lambda: Scaling(0.0, 255.0), lambda: Scaling(0, 255), lambda: PIXELS):
    assert (make(), hash(make())) == (PIXELS, hash(PIXELS))
  assert Scaling(ROW, 1.0) == Scaling(ROW.copy(), 1.0)
  assert len({Scaling(ROW, 1.0), Scaling(ROW.astype(np.float64), 1), Scaling(1.0, ROW)}) == 2
  others = (Scaling(ROW, 2.0), Scaling(1.0, ROW), Scaling(ROW[:, None], 1.0), (ROW, 1.0), None)
  assert not any(Scaling(ROW, 1.0) == other for other in others)


def test_features_may_have_numbers_of_their_own():
  assert not PIXELS.is_per_feature
  assert Scaling(ROW, 1.0).is_per_feature
  assert Scaling(0.0, ROW[:, None]).is_per_feature


@pytest.mark.parametrize(
  ('offset', 'scale', 'message'),
  [
    (float('nan'), 1.0, 'offset=nan: must be finite'),
    (np.array([1, np.inf], np.float32), 1.0, r'offset=.*inf.*: must be finite'),
    (0.0, 0.0, r'scale=0\.0: must be positive and finite'),
    (0.0, float('inf'), 'scale=inf: must be positive and finite'),
    (0.0, np.array([1, -1], np.float32), r'scale=.*-1.*: must be positive and finite'),
  ],
)
def test_what_divides_by_nothing_is_refused(offset, scale, message):
  with pytest.raises(ValueError, match=message):
    Scaling(offset, scale)


def test_values_beyond_the_limit_saturate():
  limited = Scaling(1.0, ROW, 3.0)
  x = np.array([[-1e9, 1.5], [4, 1e9]], np.float32)
  low, high = limited.apply(x)[0, 0], limited.apply(x)[1, 1]
  assert (low, high) == (-3, 3)
  inside = np.array([[1.5, 2.0]], np.float32)
  np.testing.assert_array_equal(limited.apply(inside), Scaling(1.0, ROW).apply(inside))
  np.testing.assert_array_equal(limited.without_limit(x), Scaling(1.0, ROW).apply(x))
  assert limited == Scaling(1.0, ROW, 3.0) != Scaling(1.0, ROW)
  assert len({limited, Scaling(1.0, ROW, 3.0), Scaling(1.0, ROW, 4.0), Scaling(1.0, ROW)}) == 3


def test_network_inputs_lose_digits_only_after_the_offset():
  x = 1.7e9 + np.arange(6.0).reshape(2, 3)
  inputs = Scaling(1.7e9, 2.0).inputs(x)
  assert inputs.dtype == np.float32
  np.testing.assert_array_equal(inputs, np.arange(6).reshape(2, 3) / 2)
  pixels = np.arange(256, dtype=np.uint8)
  expected = pixels.astype(np.float32) / np.float32(255)
  np.testing.assert_array_equal(PIXELS.inputs(pixels), expected)


@pytest.mark.parametrize('limit', [0.0, -1.0, float('nan'), float('inf')])
def test_bad_limits_are_refused(limit):
  with pytest.raises(ValueError, match=r'limit=.*: must be positive and finite, or None'):
    Scaling(0.0, 1.0, limit)
