import dataclasses

import numpy as np

from rlnas.architecture import Architecture
from rlnas.board import Budget
from rlnas.child.cost import cost
from rlnas.decision import decode
from rlnas.evaluators.screened import MARGIN, Screened
from rlnas.spaces import Chain
from rlnas.table import compile_table, sample_uniform
from rlnas.trial import Measurement, Status

SHAPE, CLASSES = (28, 28, 1), 10


@dataclasses.dataclass
class Counting:
  """Remembers what it was asked for."""

  seen: list[tuple[Architecture, int]] = dataclasses.field(default_factory=list)

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    self.seen.append((architecture, seed))
    return Measurement(Status.COMPLETE, int8_validation_accuracy=0.5)


def networks(count: int) -> list[Architecture]:
  table, rng = compile_table(Chain()), np.random.default_rng(0)
  return [decode(table.space, sample_uniform(table, rng)) for _ in range(count)]


def test_clear_misses_alone_are_spared():
  inner, budget = Counting(), Budget(flash_bytes=30_000, sram_bytes=16_384)
  screened = Screened(inner, budget, SHAPE, CLASSES)
  misses = 0
  for architecture in networks(100):
    measurement = screened.evaluate(architecture, seed=7)
    estimate = cost(architecture, SHAPE, CLASSES)
    missed = (
      estimate.flash_bytes > MARGIN * budget.flash_bytes
      or estimate.arena_head_bytes > MARGIN * budget.sram_bytes
    )
    misses += missed
    assert (measurement.status is Status.INFEASIBLE) == missed
    assert ((architecture, 7) in inner.seen) == (not missed)
    if missed:
      assert measurement.int8_validation_accuracy is None
      assert measurement.flash_bytes == estimate.flash_bytes
      assert measurement.sram_bytes == estimate.arena_head_bytes
      assert 'not trained' in measurement.detail
  assert 10 < misses < 90
