import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.child.augment import Augmentation, suited_augmentation


def test_shifts_move_down_and_right_and_repeat_the_edge():
  image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
  images = tf.constant(np.concatenate([image, image, image]))
  changes = tf.constant([[0, 0, 0], [1, -2, 0], [-5, 1, 0]])
  moved = Augmentation(shift_pixels=5).apply(images, changes).numpy()
  assert moved.dtype == np.uint8
  np.testing.assert_array_equal(moved[0], image[0])
  np.testing.assert_array_equal(moved[1, :, :, 0], [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]])
  np.testing.assert_array_equal(moved[2, :, :, 0], [[8, 8, 9, 10]] * 3)


def test_flips_mirror_left_to_right_before_the_shift():
  image = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
  images = tf.constant(np.concatenate([image, image]))
  changes = tf.constant([[0, 0, 0], [0, 1, 1]])
  changed = Augmentation(shift_pixels=1, flip=True).apply(images, changes).numpy()
  np.testing.assert_array_equal(changed[0], image[0])
  np.testing.assert_array_equal(changed[1, :, :, 0], [[2, 2, 1], [5, 5, 4]])


def test_changes_are_uniform():
  """Each frequency of 9,000 draws within 5 sigma; false alarm in 1 of 200,000 seeds."""
  changes = Augmentation(shift_pixels=1, flip=True).draw(np.random.default_rng(0), (90, 100))
  assert changes.shape == (90, 100, 3)
  for axis, values in ((0, (-1, 0, 1)), (1, (-1, 0, 1)), (2, (0, 1))):
    share = 1 / len(values)
    sigma = (share * (1 - share) / 9000) ** 0.5
    for value in values:
      assert abs((changes[..., axis] == value).mean() - share) < 5 * sigma
  assert set(np.unique(changes)) == {-1, 0, 1}


def test_nothing_is_done_by_default():
  changes = Augmentation().draw(np.random.default_rng(0), (4, 2))
  assert not changes.any()
  sequences = tf.constant(np.arange(6.0).reshape(2, 3))
  assert Augmentation().apply(sequences, changes[0]) is sequences


def test_images_are_shifted_by_a_fourteenth_and_sequences_left_alone():
  assert suited_augmentation((28, 28, 1)) == Augmentation(shift_pixels=2)
  assert suited_augmentation((96, 64, 3), flip=True) == Augmentation(shift_pixels=4, flip=True)
  assert suited_augmentation((49, 10)) == Augmentation()
  with pytest.raises(ValueError, match=r'flip=True: examples of \(49, 10\) are not images'):
    suited_augmentation((49, 10), flip=True)


def test_a_negative_shift_is_refused():
  with pytest.raises(ValueError, match='shift_pixels=-1: must be at least 0'):
    Augmentation(shift_pixels=-1)
