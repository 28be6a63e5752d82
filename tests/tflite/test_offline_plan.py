"""A plan of the arena in the file: tighter than the greedy one, obeyed, and with equal outputs."""

import itertools
import struct
import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.budget import Budget
from rlnas.cost.arena_head import Buffer, greedy_plan
from rlnas.cost.arena_plan import least_bytes, tight_plan
from rlnas.cost.builds import BUILDS, HOST
from rlnas.data.scaling import UNSCALED
from rlnas.evaluation.untrained import convert_untrained
from rlnas.spaces.decision import decode
from rlnas.spaces.joint import Joint
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.compact import agree
from rlnas.tflite.footprint import analytic_footprint, contents_in, measure
from rlnas.tflite.inference import int8_logits
from rlnas.tflite.offline_plan import with_offline_plan

TASK = TaskShape((28, 28, 1), 4)
BUILD = BUILDS['m4-cmsis']
ROOMY = Budget(flash_bytes=2**20, sram_bytes=2**17)


@pytest.fixture(scope='module', name='found')
def _found():
  """The first network for which a plan helps, and its planned file."""
  space, rng = Joint(), np.random.default_rng(0)
  for seed in range(4):
    tokens = sample_uniform(compile_table(space), rng)
    model = convert_untrained(decode(space, tokens), TASK, seed=seed)
    planned = with_offline_plan(model, ROOMY, build=BUILD)
    if planned != model:
      return model, planned
  raise AssertionError('no plan helps any of four networks')


def test_a_tight_plan_has_no_overlap_and_is_never_larger():
  rng = np.random.default_rng(0)
  smaller = 0
  for _ in range(30):
    first = rng.integers(0, 12, 14)
    buffers = [
      Buffer(int(size), int(begin), int(begin + span))
      for size, begin, span in zip(
        rng.integers(1, 400, 14), first, rng.integers(0, 6, 14), strict=True
      )
    ]
    plan, greedy = tight_plan(buffers, steps=100), greedy_plan(buffers)
    assert least_bytes(buffers) <= plan.total_bytes <= greedy.total_bytes
    smaller += plan.total_bytes < greedy.total_bytes
    placed = list(zip(buffers, plan.offsets, strict=True))
    for (a, low), (b, high) in itertools.combinations(placed, 2):
      if a.first <= b.last and b.first <= a.last:
        assert low + a.size_bytes <= high or high + b.size_bytes <= low
    assert all(offset % 16 == 0 for offset in plan.offsets)
    assert tight_plan(buffers, steps=100) == plan
  assert smaller >= 5


def test_buffers_with_an_offset_stay_and_the_others_go_around_them():
  fixed = [Buffer(32, 0, 2, 16), Buffer(16, 1, 1), Buffer(32, 1, 3), Buffer(64, 3, 3)]
  plan = greedy_plan(fixed)
  assert plan.offsets == (16, 0, 64, 0)
  assert plan.total_bytes == 96
  with pytest.raises(ValueError, match='offset=-16: must not be negative'):
    Buffer(32, 0, 2, -16)


@pytest.mark.slow
def test_tflite_micro_obeys_the_plan(found):
  model, planned = found
  before, after = measure(model), measure(planned)
  assert after.arena_head_bytes < before.arena_head_bytes
  assert after.sram_bytes < before.sram_bytes
  assert after.sram_source == 'tflm'
  assert after.arena_head_bytes == analytic_footprint(planned).arena_head_bytes  # to the byte
  assert after.arena_tail_bytes == before.arena_tail_bytes
  assert agree(model, planned, inputs=5)
  x = np.random.default_rng(0).integers(-128, 128, (5, *TASK.input_shape)).astype(np.float32)
  outputs = [int8_logits(m, x, scaling=UNSCALED) for m in found]
  assert np.array_equal(*outputs)  # other interpreters ignore it


def test_it_loads_in_the_smaller_arena(found, tmp_path):
  (tmp_path / 'model.tflite').write_bytes(found[1])
  smaller = measure(found[1], build=HOST).sram_bytes
  load = 'import sys; from tflite_micro import runtime; '
  load += 'runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2])).invoke()'
  command = [sys.executable, '-c', load, tmp_path / 'model.tflite', str(smaller + 16)]
  assert smaller + 16 < measure(found[0], build=HOST).sram_bytes
  subprocess.run(command, check=True, timeout=120, capture_output=True)


@pytest.mark.slow
def test_no_build_needs_a_larger_arena(found):
  before, after = map(contents_in, found)
  for build in BUILDS.values():
    assert after.arena(build).smallest_bytes <= before.arena(build).smallest_bytes


@pytest.mark.slow
def test_it_is_left_out_where_it_does_not_pay(found):
  model, planned = found
  taken = len(planned) - len(model)
  assert 0 < taken < 4000
  tight = Budget(flash_bytes=len(planned) - 1, sram_bytes=2**15)
  assert with_offline_plan(model, tight, build=BUILD) == model
  dear = Budget(flash_bytes=len(planned), sram_bytes=2**30)  # SRAM is worth nothing there
  assert with_offline_plan(model, dear, build=BUILD) == model
  assert with_offline_plan(planned, ROOMY, build=BUILD) == planned


@pytest.mark.slow
@pytest.mark.parametrize(
  ('place', 'value', 'fault'),
  [
    (2, 9999, 'must have an offset for'),
    (3, -16, 'negative or not aligned'),
    (3, 8, 'not aligned'),
  ],
)
def test_a_damaged_plan_is_refused(place, value, fault, found):
  _, planned = found
  count = contents_in(planned).tensors
  begin = planned.index(struct.pack('<3i', 1, 0, count)) + 4 * place
  damaged = planned[:begin] + struct.pack('<i', value) + planned[begin + 4 :]
  with pytest.raises(ValueError, match=fault):
    measure(damaged)


def test_a_chain_has_nothing_to_gain():
  buffers = [Buffer(64, step, step + 1) for step in range(5)]
  assert tight_plan(buffers).total_bytes == least_bytes(buffers) == 128
