"""A small search as a process that can be killed: python -m tests.search.killed_search.

Arguments: folder, trials, workers, and what evaluates: 'trained' (real children), 'cheap' (a
formula) or 'endless' (never ends). In the folder: journal.jsonl, and log, to which each evaluation
writes its seed when it begins and when it ends.
"""

import dataclasses
import os
import pathlib
import sys

from rlnas.architecture import Architecture
from rlnas.board import BOARDS
from rlnas.evaluation.executors import WorkerPool
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from rlnas.trial import Measurement
from tests.synthetic import Synthetic

CONFIGURATION = {'seed': 5}


@dataclasses.dataclass(frozen=True)
class Logged:
  """Evaluates and writes when; trained networks learn a few digits."""

  log: pathlib.Path
  evaluator: str

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    self._write(f'begin {seed}\n')
    if self.evaluator == 'trained':
      measurement = self._train(architecture, seed=seed)
    else:
      seconds = {'cheap': 0.05, 'endless': 3600.0}[self.evaluator]
      measurement = Synthetic(seconds).evaluate(architecture, seed=seed)
    self._write(f'end {seed}\n')
    return measurement

  def _train(self, architecture: Architecture, *, seed: int) -> Measurement:
    from rlnas.data import loaders  # TensorFlow loads in the workers alone
    from rlnas.evaluation.trained import Trained

    data = loaders.digits()
    few = dataclasses.replace(
      data,
      x_train=data.x_train[:200],
      y_train=data.y_train[:200],
      x_val=data.x_val[:50],
      y_val=data.y_val[:50],
    )
    return Trained(few, epochs=1, calibration_examples=20).evaluate(architecture, seed=seed)

  def _write(self, line: str) -> None:
    with self.log.open('ab', buffering=0) as file:
      file.write(line.encode())
      os.fsync(file.fileno())


def main(folder: str, trials: str, workers: str, evaluator: str) -> None:
  path = pathlib.Path(folder)
  table = compile_table(Chain(max_depth=2, filters=(4, 8), kernels=(1, 3)))
  journal = Journal(path / 'journal.jsonl', configuration=CONFIGURATION)
  pool = WorkerPool(Logged(path / 'log', evaluator), workers=int(workers))
  run_search(
    Evolution(table, population=8, sample=3),
    executor=pool,
    reward=linear_excess,
    budget=BOARDS['nucleo-l010rb'].budget,
    trials=int(trials),
    batch=4,
    seed=5,
    journal=journal,
  )
  pool.close()
  journal.close()


if __name__ == '__main__':
  main(*sys.argv[1:])
