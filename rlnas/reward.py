"""Rewards: how a measurement and a board's budget become one number to maximise.

All are pure functions of (measurement, budget), so that a journal can be rewarded anew
(`Trial.rewarded_measurement`), and all share what follows. Accuracy is that of the quantized
network on validation data; where its training was stopped early and a `Pruner` predicts what it
would have been, the search puts that in its place. The resources are flash and SRAM, and
multiply-accumulate operations and latency where the budget limits them, each as the ratio of what
is used to what the budget allows; a ratio counts as `WORST_RATIO` where it is larger or where the
figure is unknown, so that every reward is finite and a child too large to be measured is never
better off than one that was measured. A child that no microcontroller runs ('infeasible') earns
nothing for its accuracy, only its penalty. A failed evaluation is an accident and has no reward:
ValueError.
"""

from __future__ import annotations

import math

from rlnas.budget import Budget
from rlnas.trial import Measurement, Status

# Beyond 16 times the budget it no longer matters how much larger a child is.
WORST_RATIO = 16.0


def is_feasible(measurement: Measurement, budget: Budget) -> bool:
  """Whether the child was measured completely and fits into the budget."""
  return measurement.status is Status.COMPLETE and budget.fits(measurement.resources)


def linear_excess(measurement: Measurement, budget: Budget, *, weight: float = 1.0) -> float:
  """Accuracy less a penalty for what passes the budget; our form.

    accuracy - weight * sum over resources of log(1 + excess), excess = max(0, used / limit - 1)

  Close to the limit the penalty is the excess itself (10 % too much costs 0.095, more than the
  accuracy that 10 % more memory buys). Further out every doubling costs the same, log 2: the slope
  that leads back to the budget lasts, yet a child of ten times the budget does not drown all
  differences in accuracy, as it would with a penalty that stays linear. A feasible child earns
  exactly its accuracy, so that unused memory is neither rewarded nor punished.

  Args:
    measurement: of the child.
    budget: what the model may take.
    weight: accuracy that an excess costs, for each unit; at least 0.

  Returns:
    A number in [-n * weight * log(WORST_RATIO), 1] for n resources.

  Raises:
    ValueError: the evaluation failed, or an argument is out of its range.
  """
  if not 0 <= weight < math.inf:
    raise ValueError(f'weight={weight}: must be a finite number of at least 0')
  accuracy = _accuracy(measurement)
  # log(1 + excess) = log(ratio) where the ratio is above 1.
  return accuracy - weight * sum(math.log(max(1.0, r)) for r in _ratios(measurement, budget))


def weighted_product(
  measurement: Measurement, budget: Budget, *, w_below: float = 0.0, w_above: float = -1.0
) -> float:
  """MnasNet's reward (Tan et al. 2019, arXiv:1807.11626, section 3.1, equations 2 and 3).

    accuracy * product over resources of (used / limit) ** w
    w = w_below where used <= limit, otherwise w_above

  The paper has one resource, latency; its two settings are the hard constraint (0, -1), the
  default here, and the soft one (-0.07, -0.07), which trades memory below the limit for accuracy
  too: twice the memory for 5 % more accuracy. A child without accuracy earns 0, whatever its size:
  where many children are infeasible this leads nowhere, and `linear_excess` does.

  Args:
    measurement: of the child.
    budget: what the model may take.
    w_below: exponent within the limit, in [-10, 0].
    w_above: exponent beyond it, in [-10, 0].

  Returns:
    A number of at least 0.

  Raises:
    ValueError: the evaluation failed, or an argument is out of its range.
  """
  for name, value in (('w_below', w_below), ('w_above', w_above)):
    if not -10 <= value <= 0:
      raise ValueError(f'{name}={value}: must lie in [-10, 0]')
  product = _accuracy(measurement)
  for ratio in _ratios(measurement, budget):
    product *= ratio ** (w_below if ratio <= 1 else w_above)
  return product


def absolute(measurement: Measurement, budget: Budget, *, beta: float = -0.1) -> float:
  """TuNAS's absolute reward (Bender et al. 2020, arXiv:2008.06120), here over all resources.

    accuracy + beta * sum over resources of |used / limit - 1|

  The child is drawn to the limit from both sides: one that leaves memory unused is punished as much
  as one that takes too much, which suits a search whose larger networks are the better ones. The
  default of beta is that of the authors' code (google-research/tunas, rl_cost_model_exponent).

  Args:
    measurement: of the child.
    budget: what the model may take.
    beta: price of the distance from the limit, finite and at most 0.

  Returns:
    A number in [n * beta * (WORST_RATIO - 1), 1] for n resources.

  Raises:
    ValueError: the evaluation failed, or an argument is out of its range.
  """
  if not -math.inf < beta <= 0:
    raise ValueError(f'beta={beta}: must be a finite number of at most 0')
  accuracy = _accuracy(measurement)
  return accuracy + beta * sum(abs(ratio - 1) for ratio in _ratios(measurement, budget))


def death_penalty(measurement: Measurement, budget: Budget) -> float:
  """Accuracy where the child is feasible, otherwise 0: the baseline of all constraint handling.

  The name is from evolutionary computation (Coello Coello 2002, "Theoretical and numerical
  constraint-handling techniques used with evolutionary algorithms: a survey of the state of the
  art"). All infeasible children are alike, so nothing says in which direction the budget lies.

  Returns:
    A number in [0, 1].

  Raises:
    ValueError: the evaluation failed.
  """
  accuracy = _accuracy(measurement)
  return accuracy if is_feasible(measurement, budget) else 0.0


def _accuracy(measurement: Measurement) -> float:
  """The accuracy term; raises ValueError for a measurement that has no reward."""
  if measurement.status is Status.FAILED:
    raise ValueError(f'measurement.status={measurement.status.value!r}: has no reward')
  if measurement.status is Status.INFEASIBLE:
    return 0.0
  accuracy = measurement.int8_validation_accuracy
  if accuracy is None:
    return 0.0
  if not 0 <= accuracy <= 1:
    raise ValueError(f'int8_validation_accuracy={accuracy}: must lie in [0, 1]')
  return float(accuracy)


def _ratios(measurement: Measurement, budget: Budget) -> tuple[float, ...]:
  """Of each resource that has a limit, what is used of it, in (0, WORST_RATIO]."""
  return tuple(_ratio(used, limit) for used, limit in budget.limited(measurement.resources))


def _ratio(used: float | None, limit: float) -> float:
  if used is None or used >= WORST_RATIO * limit:
    return WORST_RATIO
  return max(min(1.0, limit / 1000), used) / limit  # nothing takes nothing
