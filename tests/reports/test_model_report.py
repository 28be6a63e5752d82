"""Parts of a network's report that depend on its results."""

import numpy as np
import pytest

from rlnas.reports.classification_metrics import assess
from rlnas.reports.html import Row, Text
from rlnas.reports.model_report import calibration


@pytest.mark.parametrize(
  ('confidences', 'kinds'),
  [
    ([0.99] * 50, [Text]),
    ([0.99] * 50 + [0.55, 0.65, 0.75], [Text]),  # dots of one example each are chance
    ([0.99] * 20 + [0.85] * 20 + [0.65] * 20, [Row]),
  ],
)
def test_a_picture_of_calibration_has_several_dots(confidences, kinds):
  p = np.array(confidences)
  quality = assess(np.log(np.stack([p, 1 - p], axis=1)), np.zeros(len(p), int))
  assert [type(block) for block in calibration(quality)] == kinds
