"""Rewards: functions of a measurement and a board's budget that return one number to maximise.

All are pure functions, so new rewards can be computed for the trials of a journal
(`Trial.rewarded_measurement`). All share these rules:

- Accuracy is the validation accuracy of the quantized network, or another metric that the search
  maximises, in [0, 1] (`rlnas.trial.Measurement.quality`), such as R² of a regression. If training
  stopped early and a `Pruner` predicts the accuracy after all stages, the search uses the
  prediction instead.
- Resources are flash and SRAM, and multiply-accumulate operations and latency if the budget limits
  them. Each enters as the ratio of the amount used to its limit. If a ratio is above `WORST_RATIO`,
  or unknown as the network cannot be measured, it counts as `WORST_RATIO`. So every reward is
  finite, and such a network never has a higher reward than one that was measured.
- A network that no microcontroller runs ('infeasible') has accuracy 0 and keeps its penalty.
- A failed evaluation has no reward, nor has a complete one without its int8 accuracy or a limited
  resource: the functions raise ValueError.
"""

from __future__ import annotations

import dataclasses
import math

from rlnas.budget import NO_LIMIT, Budget
from rlnas.trial import Measurement, Status

# Beyond 16 times the budget, the reward no longer depends on how much larger a network is.
WORST_RATIO = 16.0


def is_feasible(measurement: Measurement, budget: Budget) -> bool:
  """Whether the network was measured completely and fits the budget."""
  return measurement.status is Status.COMPLETE and budget.fits(measurement.resources)


def linear_excess(measurement: Measurement, budget: Budget, *, weight: float = 1.0) -> float:
  """Accuracy minus a penalty for exceeding the budget; the form is our own.

    accuracy - weight * sum over resources of log(1 + excess), excess = max(0, used / limit - 1)

  Close to the limit the penalty is about the excess (10 % too much costs 0.095, more than the
  accuracy that 10 % more memory gains). Further out every doubling costs the same, log 2. So there
  is always a slope back to the budget, but the penalty of a network of ten times the budget does
  not outweigh all differences in accuracy, as a linear penalty would. The reward of a feasible
  network is exactly its accuracy: unused memory is neither rewarded nor penalised.

  Args:
    measurement: measurement of the network.
    budget: limits of the resources.
    weight: weight of the penalty for exceeding the budget, at least 0; with weight 1, an
      excess of 1 % costs 0.01 accuracy.

  Returns:
    A number in [-n * weight * log(WORST_RATIO), 1] for n resources.

  Raises:
    ValueError: the evaluation failed or lacks a figure, or an argument is out of its range.
  """
  if not 0 <= weight < math.inf:
    raise ValueError(f'weight={weight}: must be a finite number of at least 0')
  accuracy = _accuracy(measurement, budget)
  # log(1 + excess) = log(ratio) if the ratio is above 1.
  return accuracy - weight * sum(math.log(max(1.0, r)) for r in _ratios(measurement, budget))


def weighted_product(
  measurement: Measurement, budget: Budget, *, w_below: float = 0.0, w_above: float = -1.0
) -> float:
  """MnasNet's reward (Tan et al. 2019, arXiv:1807.11626, section 3.1, equations 2 and 3).

    accuracy * product over resources of (used / limit) ** w
    w = w_below if used <= limit, otherwise w_above

  The paper has one resource, latency, and two settings: the hard constraint (0, -1), the default
  here, and the soft one (-0.07, -0.07), which also trades memory below the limit for accuracy:
  twice the memory for 5 % more accuracy. A network with accuracy 0 has reward 0, whatever its size.
  So if many networks are infeasible, this reward gives no direction; `linear_excess` does.

  Args:
    measurement: measurement of the network.
    budget: limits of the resources.
    w_below: exponent of the ratio used / limit if it is at most 1, in [-10, 0].
    w_above: exponent of the ratio used / limit if it is above 1, in [-10, 0].

  Returns:
    A number of at least 0.

  Raises:
    ValueError: the evaluation failed or lacks a figure, or an argument is out of its range.
  """
  for name, value in (('w_below', w_below), ('w_above', w_above)):
    if not -10 <= value <= 0:
      raise ValueError(f'{name}={value}: must lie in [-10, 0]')
  product = _accuracy(measurement, budget)
  for ratio in _ratios(measurement, budget):
    product *= ratio ** (w_below if ratio <= 1 else w_above)
  return product


def absolute(measurement: Measurement, budget: Budget, *, beta: float = -0.1) -> float:
  """TuNAS's absolute reward (Bender et al. 2020, arXiv:2008.06120), here over all resources.

    accuracy + beta * sum over resources of |used / limit - 1|

  Unused memory costs as much as memory beyond the limit, so networks close to the limit have the
  highest rewards. This suits a search in which larger networks are better. The default of beta is
  that of the authors' code (google-research/tunas, rl_cost_model_exponent).

  Args:
    measurement: measurement of the network.
    budget: limits of the resources.
    beta: change of the reward for each unit of |used / limit - 1|, finite and at most 0.

  Returns:
    A number in [n * beta * (WORST_RATIO - 1), 1] for n resources.

  Raises:
    ValueError: the evaluation failed or lacks a figure, or an argument is out of its range.
  """
  if not -math.inf < beta <= 0:
    raise ValueError(f'beta={beta}: must be a finite number of at most 0')
  accuracy = _accuracy(measurement, budget)
  return accuracy + beta * sum(abs(ratio - 1) for ratio in _ratios(measurement, budget))


def death_penalty(measurement: Measurement, budget: Budget) -> float:
  """Accuracy if the network is feasible, otherwise 0: the simplest way to handle constraints.

  The name is from evolutionary computation (Coello Coello 2002, "Theoretical and numerical
  constraint-handling techniques used with evolutionary algorithms: a survey of the state of the
  art"). All infeasible networks have the same reward, which gives no direction to the budget.

  Returns:
    A number in [0, 1].

  Raises:
    ValueError: the evaluation failed or lacks a figure.
  """
  accuracy = _accuracy(measurement, budget)
  return accuracy if is_feasible(measurement, budget) else 0.0


def _accuracy(measurement: Measurement, budget: Budget) -> float:
  """Returns the accuracy term. Raises ValueError for a measurement that has no reward."""
  if measurement.status is Status.FAILED:
    raise ValueError(f'measurement.status={measurement.status.value!r}: has no reward')
  if measurement.status is Status.INFEASIBLE:
    return 0.0
  limits = dataclasses.asdict(budget).items()
  limited = [name for name, limit in limits if limit not in (None, NO_LIMIT)]
  for name in ('int8_validation_accuracy', *limited):
    if getattr(measurement, name) is None:
      raise ValueError(f'{name}=None: a complete measurement must have it to be rewarded')
  accuracy = measurement.quality or 0.0
  if not 0 <= accuracy <= 1:
    raise ValueError(f'int8_validation_accuracy={accuracy}: must lie in [0, 1]')
  return float(accuracy)


def _ratios(measurement: Measurement, budget: Budget) -> tuple[float, ...]:
  """Returns used / limit of each resource that has a limit, in (0, WORST_RATIO]."""
  return tuple(_ratio(used, limit) for used, limit in budget.limited(measurement.resources))


def _ratio(used: float | None, limit: float) -> float:
  if used is None or used >= WORST_RATIO * limit:
    return WORST_RATIO
  # Above 0 even if nothing is used: one unit, or a thousandth of a limit below 1000 units.
  return max(min(1.0, limit / 1000), used) / limit
