"""<name>_classify() of a search's bundle gives what `rlnas.load(workdir).predict` gives."""

import numpy as np
import pytest

import rlnas
from tests.export.host_kernels import HostFirmware

COUNT = 200


def classified(workdir, raw, classes, output):
  """Classes and int8 scores by the bundle's C++, compiled here, on TFLite Micro."""
  firmware = HostFirmware([workdir / 'best'], output=output, flags=['-DRLNAS_NO_MAIN'])
  found = [firmware.classify('rlnas', row, classes) for row in raw]
  return [best for best, _ in found], np.array([scores for _, scores in found])


@pytest.mark.slow
def test_classify_gives_what_predict_gives_for_200_inputs(finished, tmp_path):
  search = rlnas.load(finished.workdir)
  raw = rlnas.data.digits().x_test[:COUNT]
  best, scores = classified(finished.workdir, raw, search.task.classes, tmp_path / 'digits.so')
  expected = search.predict(raw)
  assert len(raw) == COUNT
  assert best == expected.argmax(1).tolist()
  np.testing.assert_array_equal(int8_of(search, scores), expected)
  assert len(np.unique(expected, axis=0)) > COUNT / 2


def int8_of(search, scores):
  """The int8 outputs of real scores, by the output's scale in the .tflite file."""
  from rlnas.export.deployment import inspect

  port = inspect(search.tflite).output
  return np.rint(scores / port.scale + port.zero_point).astype(np.int8)
