"""A cheap evaluator with a known answer, for tests of everything around evaluation."""

import dataclasses
import os
import signal
import time

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.trial import Measurement, Status

BUDGET = Budget(flash_bytes=64 * 1024, sram_bytes=16 * 1024)


@dataclasses.dataclass(frozen=True)
class Synthetic:
  """Wide networks with few poolings are accurate; each filter costs flash.

  Attributes:
    seconds: how long an evaluation takes; odd seeds take twice as long, so that workers finish
      out of order.
    fault: 'raise' or 'kill' for the networks that hold a pooling.
  """

  seconds: float = 0.0
  fault: str = ''

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    poolings = sum(node.op.endswith('_pool') for node in architecture.nodes) - 1
    if poolings and self.fault == 'raise':
      raise ArithmeticError('poolings are not to be had')
    if poolings and self.fault == 'kill':
      os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(self.seconds * (1 + seed % 2))
    filters = sum(int(dict(node.attributes).get('filters', 0)) for node in architecture.nodes)
    accuracy = filters / (filters + 50) / (1 + poolings) + seed % 100 * 1e-5
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=accuracy,
      int8_validation_accuracy=accuracy - 0.01,
      flash_bytes=1000 + 500 * filters,
      sram_bytes=2000 + 100 * max(1, filters),
      macs=1000 * filters,
      parameters=filters,
      sram_source='analytic',
      seconds=self.seconds,
    )
