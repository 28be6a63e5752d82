"""Chooses the winner among finalists: by accuracy, or by memory and work where accuracy is equal.

A finalist can win only if no other dominates it: is at least as good in int8 validation accuracy,
flash, SRAM and MACs, and better in one of them. Among those, `Prefer` says how much accuracy may be
given up for less memory and work. Memory and work together are one number, the size: the geometric
mean of flash, SRAM and MACs. It needs no weights: a tenth less of any of the three counts the same.

Accuracy is the metric of the search (`rlnas.data.metrics`); standard errors and intervals are those
of this metric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlnas.data.metrics import Metric
from rlnas.data.resampling import RESAMPLES, resampled
from rlnas.data.tasks import Task
from rlnas.data.word import Word
from rlnas.pareto import compared

if TYPE_CHECKING:
  from rlnas.finishing.finalists import Finalist

# What is true of the validation examples, or what a network says of them: classes [N], or values of
# a regression [N, K] (`rlnas.data.tasks.Head.answers`).
Answers = npt.NDArray[Any]

# Accuracy that `Prefer.BALANCED` gives up at most: two examples in a thousand.
MOST_GIVEN_UP = 0.002
_CONFIDENCE = 0.95
_ROUNDING = 1e-9  # equal accuracies may differ by so much


class Prefer(Word):
  """How much accuracy a smaller network may cost.

  Raises:
    ValueError: there is no preference of that name.
  """

  ACCURACY = 'accuracy'  # none: the best; of equals the smallest
  BALANCED = 'balanced'  # the smallest at most one standard error, and .002, below the best
  SMALLEST = 'smallest'  # the smallest whose difference from the best may be chance


@dataclasses.dataclass(frozen=True)
class Choice:
  """The finalists with the reason for the first.

  Attributes:
    finalists: the winner, then the others, the most accurate first.
    on_front: for each of them, whether no other dominates it.
    why: why the first one wins, in one sentence.
  """

  finalists: tuple[Finalist, ...]
  on_front: tuple[bool, ...]
  why: str


def choose(
  finalists: Sequence[Finalist],
  prefer: Prefer,
  *,
  labels: Answers,
  predicted: Callable[[Finalist], Answers],
  metric: Metric = Metric.ACCURACY,
) -> Choice:
  """Chooses the winner.

  Args:
    finalists: completely measured networks that fit the budget; at least one.
    prefer: how much accuracy a smaller network may cost.
    labels: true classes or values of the validation examples. [N, ...]
    predicted: returns the answers of a finalist's int8 model for them. [N, ...]
    metric: what `int8_validation_accuracy` holds.

  Raises:
    ValueError: there is no finalist.
  """
  if not finalists:
    raise ValueError('finalists: must hold at least one')
  by_accuracy = sorted(finalists, key=lambda f: (-_accuracy(f), size_of(f), -f.score[1]))
  front = [f for f in by_accuracy if not any(dominates(other, f) for other in by_accuracy)]
  best = front[0]
  if prefer is Prefer.ACCURACY:
    able, rule = [f for f in front if _accuracy(f) == _accuracy(best)], ''
  elif prefer is Prefer.BALANCED:
    error = standard_error(labels, predicted(best), metric)
    most = min(error, MOST_GIVEN_UP)
    able = [f for f in front if _accuracy(best) - _accuracy(f) <= most + _ROUNDING]
    rule = f'within one standard error ({_short(error)}) and {_short(MOST_GIVEN_UP)} of'
  else:
    of_best = predicted(best)
    able = [f for f in front if f is best or may_be_chance(labels, of_best, predicted(f), metric)]
    test = 'McNemar' if metric is Metric.ACCURACY else 'bootstrap'
    rule = f'within the 95 % interval ({test}) of'
  winner = min(able, key=lambda f: (size_of(f), -_accuracy(f)))
  others = [f for f in by_accuracy if f is not winner]
  ordered = (winner, *others)
  return Choice(
    ordered,
    tuple(any(f is one for one in front) for f in ordered),
    _why(winner, best, able, finalists, rule, metric),
  )


def size_of(finalist: Finalist) -> float:
  """Geometric mean of flash bytes, SRAM bytes and MACs."""
  return math.exp(sum(math.log1p(value) for value in costs_of(finalist)) / 3)


def costs_of(finalist: Finalist) -> tuple[int, int, int]:
  """Flash bytes, SRAM bytes and MACs."""
  m = finalist.measurement
  return m.flash_bytes or 0, m.sram_bytes or 0, m.macs or 0


def dominates(one: Finalist, other: Finalist) -> bool:
  """Whether `one` is at least as good in accuracy, flash, SRAM and MACs, and better in one."""
  first, second = ((-_accuracy(f), *costs_of(f)) for f in (one, other))
  return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def standard_error(labels: Answers, predicted: Answers, metric: Metric) -> float:
  """The standard error of a metric over the random choice of the examples.

  For accuracy it is that of a binomial share; for other metrics the standard deviation of a
  bootstrap (Efron 1979) of 2,000 resamples with a fixed seed.

  Args:
    labels: true classes or values. [N, ...]
    predicted: the network's answers. [N, ...]
    metric: the metric.
  """
  if metric is Metric.ACCURACY:
    share = float(np.mean(labels == predicted))
    return math.sqrt(share * (1 - share) / len(labels))
  return float(np.std(_resampled(labels, (predicted,), metric)[:, 0]))


def may_be_chance(labels: Answers, better: Answers, other: Answers, metric: Metric) -> bool:
  """Whether the difference of two networks on the same examples may be chance, at 95 %.

  For accuracy it is McNemar's exact test (McNemar 1947) of the examples that only one of the two
  recognises; for other metrics the interval of a paired bootstrap of 2,000 resamples with a fixed
  seed.

  Args:
    labels: true classes or values. [N, ...]
    better: the answers of the better network. [N, ...]
    other: the answers of the other one. [N, ...]
    metric: the metric.
  """
  if metric is Metric.ACCURACY:
    from scipy.stats import binomtest

    only_better = int(np.sum((better == labels) & (other != labels)))
    only_other = int(np.sum((better != labels) & (other == labels)))
    if only_better + only_other == 0:
      return True
    test = binomtest(only_better, only_better + only_other, 0.5)
    return bool(test.pvalue >= 1 - _CONFIDENCE)
  found = _resampled(labels, (better, other), metric)
  return bool(np.quantile(found[:, 0] - found[:, 1], (1 - _CONFIDENCE) / 2) <= 0)


def _resampled(
  labels: Answers, predicted: Sequence[Answers], metric: Metric
) -> npt.NDArray[np.float64]:
  """The metric of each network on resamples of the examples, the same for all networks.

  Examples with equal classes and equal answers are counted together, so a resample is a draw of
  their numbers. In a regression a resample is a draw of examples.

  Returns:
    One row per resample. [R, networks]
  """
  if metric.task is not Task.CLASSIFICATION:
    return resampled(labels, predicted, metric)
  outcomes, counts = np.unique(np.stack([labels, *predicted]), axis=1, return_counts=True)
  classes = int(outcomes.max()) + 1
  places = outcomes[0] * classes + outcomes[1:]  # cells of the confusion matrices: [networks, K]
  draws = np.random.default_rng(0).multinomial(
    len(labels), counts / len(labels), size=RESAMPLES
  )  # [R, K]
  found = np.empty((RESAMPLES, len(predicted)))
  for row, drawn in enumerate(draws):
    for column, cells in enumerate(places):
      matrix = np.bincount(cells, drawn, minlength=classes**2).astype(np.int64)
      found[row, column] = metric.of(matrix.reshape(classes, classes))
  return found


def _why(
  winner: Finalist,
  best: Finalist,
  able: Sequence[Finalist],
  finalists: Sequence[Finalist],
  rule: str,
  metric: Metric,
) -> str:
  if len(finalists) == 1:
    return 'the only finalist'
  reached = f'int8 validation {metric.label} {_accuracy(best):.4f}'
  equals = sum(_accuracy(f) == _accuracy(best) for f in finalists)
  if _accuracy(winner) == _accuracy(best):
    if equals == 1:
      return f'the best {reached}' + (f'; no finalist {rule} it is smaller' if rule else '')
    return f'the smallest of {equals} finalists with the best {reached}'
  saved = compared(winner.measurement.resources, best.measurement.resources)
  return (
    f'the smallest of {len(able)} finalists {rule} the best {reached} '
    f'({best.candidate.title}): {saved}'
  )


def _accuracy(finalist: Finalist) -> float:
  return finalist.measurement.int8_validation_accuracy or 0.0


def _short(value: float) -> str:
  return f'{value:.4f}'.rstrip('0').rstrip('.') or '0'
