"""Compiles all that the estimate of a network's cost needs: `python -m rlnas.cost.compiler`.

A search starts this in a process of its own (`rlnas.cost.machine_code`). The functions of Numba are
compiled for the types of the arguments that they are called with, so one call of each suffices.
"""

from __future__ import annotations

import sys

from rlnas.architecture import Graph, TaskShape
from rlnas.cost import jit, machine_code
from rlnas.cost.builds import BUILDS
from rlnas.cost.cost import estimate_cost
from rlnas.cost.operators import count_macs
from rlnas.cost.schedule import least_arena_order
from rlnas.cost.tasks import INPUT, Task, Tasks
from rlnas.cost.workload import workload_of


def compile_all() -> None:
  """Calls each function that is called from Python while a network is searched for."""
  graph = Graph()
  small = graph.finish(graph.classify(graph.input))
  task = TaskShape((8, 8, 1), 2)
  for build in BUILDS.values():  # equal types; those with CMSIS-NN call more functions
    estimate_cost(small, task, build=build)
  workload_of(small, task)
  count_macs(small, task)
  least_arena_order(Tasks.of([Task((INPUT,), 16)], 16))


def main(arguments: list[str]) -> None:
  """Compiles what is not on disk, and marks it as complete; the argument is an inherited lock."""
  with machine_code.completing(inherited=bool(arguments)) as missing:
    if missing:
      compile_all()
      if jit.unsaved:
        raise OSError(f'machine code cannot be kept: {jit.unsaved[0]}')


if __name__ == '__main__':
  try:
    main(sys.argv[1:])
  except OSError as error:
    sys.exit(f'error: {error}')
