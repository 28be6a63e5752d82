"""Measures what a plan of the arena in the file's metadata saves, over random networks.

  python experiments/benchmarks/benchmark_arena_plan.py --count=20

Networks of --spaces with random weights are converted and planned for --build. The planned file is
run on TFLite Micro in the smallest arena that is predicted to load it, in a process of its own, as
an arena that is too small may end it. The exit code is 1 if that fails or an output differs. Prints
a table in Markdown: heads and smallest arenas before and after, and the flash that the plan takes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

import numpy as np
import tqdm
from absl import app, flags
from random_networks import draw, task_of

from rlnas.architecture import TaskShape
from rlnas.backend import quiet
from rlnas.cost.arena_head import greedy_plan
from rlnas.cost.arena_plan import least_bytes
from rlnas.cost.builds import HOST, find_build
from rlnas.data.scaling import Scaling
from rlnas.evaluation.untrained import convert_untrained
from rlnas.tflite.footprint import ArenaOverflow, contents_in, measure
from rlnas.tflite.inference import tflm_logits
from rlnas.tflite.model_file import read_subgraphs
from rlnas.tflite.offline_plan import planned_file

FLAGS = flags.FLAGS
flags.DEFINE_integer('count', 20, 'Number of networks of each space.', lower_bound=1)
flags.DEFINE_list('spaces', ['nasnet', 'joint', 'multibranch'], 'Spaces of the networks.')
flags.DEFINE_string('build', 'm4-cmsis', 'Build of TFLite Micro that is planned for.')
flags.DEFINE_integer('inputs', 3, 'Number of inputs on which outputs are compared.', lower_bound=1)
flags.DEFINE_integer('side', 28, 'Number of pixels of an image along a side.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'Seed of networks, weights and inputs.')

SEQUENCE = TaskShape((49, 10), 10)

# Arguments: the folder and the size of the arena. Reads model.tflite, x.npy and the outputs y.npy.
RUN_IN_ARENA = """\
import pathlib, sys
import numpy as np
from tflite_micro import runtime
folder = pathlib.Path(sys.argv[1])
model = (folder / 'model.tflite').read_bytes()
micro = runtime.Interpreter.from_bytes(model, arena_size=int(sys.argv[2]))
for x, y in zip(np.load(folder / 'x.npy'), np.load(folder / 'y.npy')):
  micro.set_input(x[None], 0)
  micro.invoke()
  assert np.array_equal(micro.get_output(0)[0], y)
"""


def runs_in(model: bytes, arena_bytes: int, x: np.ndarray, y: np.ndarray) -> bool:
  """Whether TFLite Micro loads a model into an arena of that size and gives the outputs y."""
  with tempfile.TemporaryDirectory() as folder:
    with open(f'{folder}/model.tflite', 'wb') as file:
      file.write(model)
    np.save(f'{folder}/x.npy', x)
    np.save(f'{folder}/y.npy', y)
    command = [sys.executable, '-c', RUN_IN_ARENA, folder, str(arena_bytes)]
    done = subprocess.run(  # noqa: S603 (the program is a constant)
      command, capture_output=True, check=False, timeout=300
    )
    return done.returncode == 0


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  build, wrong = find_build(FLAGS.build), 0
  rows: dict[str, list[tuple[float, ...]]] = {}
  for case in FLAGS.spaces:
    image = TaskShape((FLAGS.side, FLAGS.side, 1), 10)
    task = task_of(case, image=image, sequence=SEQUENCE)
    networks = draw(case, FLAGS.count, FLAGS.seed)
    for index, architecture in enumerate(tqdm.tqdm(networks, desc=case, dynamic_ncols=True)):
      with quiet():
        model = convert_untrained(architecture, task, seed=index)
      before = contents_in(model)
      started = time.process_time()
      planned = planned_file(model, before, build)
      seconds = time.process_time() - started
      after = contents_in(planned)
      heads = [greedy_plan(c.buffers(build)).total_bytes for c in (before, after)]
      arenas = [c.arena(build).smallest_bytes for c in (before, after)]
      rows.setdefault(case, []).append(
        (*heads, least_bytes(before.buffers(build)), *arenas, len(planned) - len(model), seconds)
      )
      entry = read_subgraphs(model)[0].tensors[read_subgraphs(model)[0].inputs[0]]
      as_read = Scaling(entry.zero_points[0], 1 / entry.scales[0])  # keeps int8 values as they are
      rng = np.random.default_rng(index)
      x = rng.integers(-128, 128, (FLAGS.inputs, *task.input_shape)).astype(np.int8)
      try:
        y = tflm_logits(model, x.astype(np.float32), scaling=as_read)
        smallest = measure(planned, build=HOST).sram_bytes
      except ArenaOverflow:
        continue
      wrong += not runs_in(planned, smallest + 16, x, y)
  print('| space | networks | head | planned | bound | smaller | arena | planned | flash | s |')
  print('|---|---|---|---|---|---|---|---|---|---|')
  for case, found in rows.items():
    head, tight, bound, arena, planned_arena, flash, seconds = np.array(found).T
    print(
      f'| {case} | {len(found)} | {head.mean():,.0f} | {np.mean(tight / head - 1):+.1%} | '
      f'{np.mean(bound / head - 1):+.1%} | {np.sum(tight < head)} | {arena.mean():,.0f} | '
      f'{np.mean(planned_arena / arena - 1):+.1%} (at most {np.max(1 - planned_arena / arena):.1%})'
      f' | {flash.mean():+.0f} | {seconds.mean():.2f} |'
    )
  print(f'{wrong} networks do not run in the smaller arena, or their outputs differ')
  sys.exit(wrong > 0)


if __name__ == '__main__':
  app.run(main)
