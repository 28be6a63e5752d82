"""Spares the training of networks that certainly miss the budget.

What a network needs is estimated before anything is built (`rlnas.child.cost`, some 50 µs). Only
a clear miss is decided by the estimate: beyond `MARGIN` times the budget no known error of the
estimate could make the network fit. Everything else is evaluated, so whatever fits is measured.
"""

from __future__ import annotations

import dataclasses
import time

from rlnas.architecture import Architecture, Shape
from rlnas.board import Budget
from rlnas.child.cost import cost
from rlnas.interfaces import Evaluator
from rlnas.trial import Measurement, Status

# Far beyond any error of the estimate that was measured (`rlnas.child.cost`), and the arena's tail,
# which is not counted, only adds to a miss.
MARGIN = 2.0


@dataclasses.dataclass(frozen=True)
class Screened:
  """Wraps an evaluator; what certainly misses the budget is 'infeasible' at once.

  Such a measurement has the estimated sizes, so that its reward still says how far away the
  budget is, and `sram_source` 'analytic'.

  Attributes:
    evaluator: evaluates the others.
    budget: what has to be kept.
    input_shape: of an example.
    classes: of the task.
  """

  evaluator: Evaluator
  budget: Budget
  input_shape: Shape
  classes: int

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Estimates, and evaluates what may fit. Raises what the wrapped evaluator raises."""
    started = time.perf_counter()
    estimate = cost(architecture, self.input_shape, self.classes)
    if (
      estimate.flash_bytes <= MARGIN * self.budget.flash_bytes
      and estimate.arena_head_bytes <= MARGIN * self.budget.sram_bytes
    ):
      return self.evaluator.evaluate(architecture, seed=seed)
    return Measurement(
      Status.INFEASIBLE,
      flash_bytes=estimate.flash_bytes,
      sram_bytes=estimate.arena_head_bytes,
      sram_source='analytic',
      macs=estimate.macs,
      parameters=estimate.parameters,
      seconds=time.perf_counter() - started,
      detail=f'estimated beyond {MARGIN:g} times the budget; not trained',
    )
