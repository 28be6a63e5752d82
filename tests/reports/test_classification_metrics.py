"""Accuracy by class and calibration against what can be counted by hand."""

import numpy as np
import pytest

from rlnas.reports.classification_metrics import assess, wilson_interval


def test_confusion_recall_and_precision_are_counted():
  labels = np.array([0, 0, 0, 1, 1])
  predicted = [0, 1, 0, 1, 2]
  quality = assess(np.eye(4)[predicted], labels)
  assert quality.confusion == ((2, 1, 0, 0), (0, 1, 1, 0), (0, 0, 0, 0), (0, 0, 0, 0))
  assert (quality.examples, quality.correct, quality.accuracy) == (5, 3, 0.6)
  assert quality.recall == (2 / 3, 1 / 2, None, None)
  assert quality.precision == (1.0, 1 / 2, 0.0, None)
  assert quality.confusions(5) == [(0, 1, 1), (1, 2, 1)]


def test_calibration_error_is_the_mean_gap():
  # Confidences of 0.8 and 0.6; 1 of 2 and 1 of 1 right: gaps of 0.3 (twice) and 0.4.
  logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]])
  quality = assess(logits, np.array([0, 1, 1]))
  assert [b.examples for b in quality.reliability] == [1, 2]
  assert [b.confidence for b in quality.reliability] == pytest.approx([0.6, 0.8])
  assert quality.calibration_error == pytest.approx((2 * 0.3 + 0.4) / 3)


def test_well_calibrated_outputs_have_a_small_error():
  # 100,000 draws in 10 bins: the mean gap of a bin is about 0.8 * 0.5 / sqrt(10,000) = 0.004.
  rng = np.random.default_rng(0)
  p = rng.uniform(0, 1, 100_000)
  labels = (rng.uniform(0, 1, len(p)) < p).astype(int)
  logits = np.log(np.stack([1 - p, p], axis=1))
  assert assess(logits, labels).calibration_error < 0.01


def test_the_interval_is_wilsons():
  low, high = wilson_interval(9, 10)
  # 0.9 and 10 in Wilson's formula with z = 1.96, worked out by hand.
  assert (low, high) == pytest.approx((0.5958, 0.9821), abs=2e-4)
  assert wilson_interval(10, 10)[1] == pytest.approx(1.0)
  assert wilson_interval(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says():
  # 2,000 draws: 0.95 with a deviation of 0.005; 0.93 is 4 sigma below (Wilson's own error apart).
  counts = np.random.default_rng(0).binomial(500, 0.9, 2000)
  covered = [low <= 0.9 <= high for low, high in (wilson_interval(int(c), 500) for c in counts)]
  assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize(('correct', 'examples'), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(correct, examples):
  with pytest.raises(ValueError, match=f'correct={correct}'):
    wilson_interval(correct, examples)


def test_labels_must_fit_the_outputs():
  with pytest.raises(ValueError, match=r'\(2,\)'):
    assess(np.zeros((3, 4)), np.zeros(2, int))
