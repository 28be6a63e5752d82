import numpy as np
import pytest

from rlnas.cost.arena_head import ALIGNMENT_BYTES, Buffer, greedy_plan


def test_buffers_that_never_meet_share_their_place():
  plan = greedy_plan([Buffer(32, 0, 1), Buffer(32, 2, 3)])
  assert plan.offsets == (0, 0)
  assert plan.total_bytes == 32


def test_sizes_are_aligned():
  assert greedy_plan([Buffer(1, 0, 0), Buffer(17, 0, 0)]).total_bytes == 16 + 32


def test_a_gap_is_used():
  # 64 bytes below, 32 above; when the middle 48 of step 0 are gone, 32 fit between them.
  buffers = [Buffer(64, 0, 2), Buffer(48, 0, 0), Buffer(32, 1, 2)]
  assert greedy_plan(buffers).offsets == (0, 64, 64)


def test_of_two_equal_sizes_the_later_goes_first():
  # As in TFLite Micro: in a chain of equal maps the last one lies at 0.
  plan = greedy_plan([Buffer(64, 0, 1), Buffer(64, 1, 2), Buffer(64, 2, 3)])
  assert plan.offsets == (0, 64, 0)
  assert greedy_plan([Buffer(64, 0, 1), Buffer(64, 1, 2)]).offsets == (64, 0)


def test_no_buffers_take_no_room():
  assert greedy_plan([]).total_bytes == 0


def test_buffers_alive_together_never_overlap():
  rng = np.random.default_rng(0)
  for _ in range(50):
    firsts = rng.integers(0, 10, 20)
    buffers = [
      Buffer(int(size), int(first), int(first + length))
      for size, first, length in zip(
        rng.integers(1, 500, 20), firsts, rng.integers(0, 4, 20), strict=True
      )
    ]
    plan = greedy_plan(buffers)
    for i, (a, start) in enumerate(zip(buffers, plan.offsets, strict=True)):
      assert start % ALIGNMENT_BYTES == 0
      assert start + a.size_bytes <= plan.total_bytes
      for b, other in zip(buffers[:i], plan.offsets[:i], strict=True):
        if a.first <= b.last and b.first <= a.last:
          assert start >= other + b.size_bytes or other >= start + a.size_bytes


@pytest.mark.parametrize(
  ('arguments', 'name'),
  [((-1, 0, 0), 'size_bytes=-1'), ((1, -2, 1), 'first=-2'), ((1, 2, 1), 'last=1')],
)
def test_impossible_buffers_are_refused(arguments, name):
  with pytest.raises(ValueError, match=name):
    Buffer(*arguments)
