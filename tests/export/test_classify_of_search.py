"""<name>_classify() of a search's bundle gives what `rlnas.load(workdir).predict` gives."""

import numpy as np
import pytest

import rlnas
from rlnas.export.deployment import inspect
from tests.export.host_kernels import HostFirmware

COUNT = 200
# The bundles reserve what the boards need; structures of this machine have 64-bit pointers.
FLAGS = ('-DRLNAS_NO_MAIN', '-DRLNAS_ARENA_BYTES=262144')


def classified(workdir, raw, output):
  """Classes and int8 scores by the bundle's C++, compiled here, on TFLite Micro."""
  search = rlnas.load(workdir)
  firmware = HostFirmware([workdir / 'best'], output=output, flags=FLAGS)
  found = [firmware.classify('rlnas', row, search.task.classes) for row in raw]
  port = inspect(search.tflite).output
  scores = np.array([scores for _, scores in found]) / port.scale + port.zero_point
  return [best for best, _ in found], np.rint(scores).astype(np.int8)


def check(workdir, raw, output):
  search = rlnas.load(workdir)
  expected = search.predict(raw, tflm=True)
  best, scores = classified(workdir, raw, output)
  assert len(raw) == COUNT
  np.testing.assert_array_equal(scores, expected)
  assert best == expected.argmax(1).tolist()
  assert len(np.unique(expected, axis=0)) > COUNT / 2
  # TensorFlow Lite rounds a few sums differently.
  faster = search.predict(raw)
  assert np.abs(faster.astype(int) - expected).max() <= 1
  assert np.mean(faster == expected) > 0.99


@pytest.mark.slow
def test_classify_gives_what_predict_gives_for_200_images(finished, tmp_path):
  check(finished.workdir, rlnas.data.digits().x_test[:COUNT], tmp_path / 'digits.so')


@pytest.mark.slow
def test_classify_gives_what_predict_gives_for_200_recordings(moves, tmp_path):
  """Each feature has its own offset and scale; values lie beyond the limit, too.

  None is halfway between two int8 values, where C's float may give the other one.
  """
  search, rng = rlnas.load(moves.workdir), np.random.default_rng(1)
  port = inspect(search.tflite).input
  steps = rng.integers(-140, 140, (COUNT, *search.task.input_shape))
  seen = (steps + rng.uniform(-0.45, 0.45, steps.shape) - port.zero_point) * port.scale
  raw = (seen * search.scaling.scale + search.scaling.offset).astype(np.float32)
  assert search.scaling.is_per_feature
  check(moves.workdir, raw, tmp_path / 'moves.so')
