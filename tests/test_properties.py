"""Properties that hold for any space, any set of buffers, any order of a journal's trials."""

import itertools
import pathlib
import tempfile

import hypothesis
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlnas.architecture import Graph
from rlnas.cost.arena_head import ALIGNMENT_BYTES, Buffer, greedy_plan
from rlnas.search.journal import Journal, read_journal
from rlnas.spaces.decision import Decision, decode
from rlnas.spaces.table import (
  choices_of,
  compile_table,
  encode,
  enumerate_tokens,
  mutate,
  sample_uniform,
  states_of,
  unrank,
)
from rlnas.trial import Measurement, Proposal, Status, Trial


def space_of(steps):
  """A space whose later decisions offer more after an odd sum, and which may end early.

  Args:
    steps: (choices, the one that ends the walk or None) of each decision.
  """

  def walk():
    total = 0
    for i, (count, stop) in enumerate(steps):
      offered = tuple(range(count + total % 2))
      choice = yield Decision(f'd{i}', f'k{i % 2}', offered, (total % 2,))
      if choice == stop:
        break
      total += choice
    graph = Graph()
    return graph.finish(graph.classify(graph.input))

  return walk


spaces = st.lists(
  st.tuples(st.integers(1, 3), st.none() | st.integers(0, 3)), min_size=1, max_size=5
).map(space_of)
seeds = st.integers(0, 2**32 - 1)


@given(spaces)
def test_a_table_counts_and_orders_every_walk(space):
  table = compile_table(space)
  walks = list(enumerate_tokens(table))
  assert len(walks) == table.size
  assert walks == sorted(set(walks)), 'each once, in lexicographic order'
  assert max(map(len, walks)) == table.max_length
  assert [unrank(table, rank) for rank in range(table.size)] == walks
  for tokens in walks:
    assert len(states_of(table, tokens)) == len(tokens)
    decode(space, tokens)
    assert encode(table, choices_of(table, tokens)) == tokens


@given(spaces)
def test_a_table_holds_every_walk_of_the_generator(space):
  """Depth first through the generator alone; nothing of the table is used."""
  found, open_prefixes = set(), [()]
  while open_prefixes:
    prefix = open_prefixes.pop()
    walk, offered = space(), None
    try:
      decision = next(walk)
      for token in prefix:
        decision = walk.send(decision.choices[token])
      offered = range(len(decision.choices))
    except StopIteration:
      found.add(prefix)
    open_prefixes += [(*prefix, token) for token in offered or ()]
  assert found == set(enumerate_tokens(compile_table(space)))


@given(spaces, seeds)
def test_samples_and_mutants_stay_in_the_space(space, seed):
  table, rng = compile_table(space), np.random.default_rng(seed)
  tokens = sample_uniform(table, rng)
  states_of(table, tokens)
  mutant = mutate(table, tokens, rng)
  states_of(table, mutant)
  assert (mutant == tokens) == all(len(table.choices[s]) == 1 for s in states_of(table, tokens))
  before, after = choices_of(table, tokens), choices_of(table, mutant)
  first = next((name for name in before if after.get(name) != before[name]), None)
  for name in itertools.takewhile(lambda name: name != first, before):
    assert after[name] == before[name]


buffers = st.lists(
  st.builds(
    lambda size, first, steps: Buffer(size, first, first + steps),
    st.integers(0, 3000),
    st.integers(0, 12),
    st.integers(0, 6),
  ),
  max_size=24,
)


def aligned(buffer: Buffer) -> int:
  return -(-buffer.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@given(buffers)
def test_a_plan_is_valid_and_within_its_bounds(listed):
  plan = greedy_plan(listed)
  ends = [offset + aligned(b) for b, offset in zip(listed, plan.offsets, strict=True)]
  for (a, a_start, a_end), (b, b_start, b_end) in itertools.combinations(
    zip(listed, plan.offsets, ends, strict=True), 2
  ):
    if a.first <= b.last and b.first <= a.last and a.size_bytes and b.size_bytes:
      assert a_end <= b_start or b_end <= a_start
  assert all(offset >= 0 and offset % ALIGNMENT_BYTES == 0 for offset in plan.offsets)
  assert plan.total_bytes == max(ends, default=0)
  live = [sum(aligned(b) for b in listed if b.first <= step <= b.last) for step in range(20)]
  assert max(live) <= plan.total_bytes <= sum(map(aligned, listed))


@given(buffers)
def test_a_plan_puts_the_largest_first_and_each_where_nothing_is_in_the_way(listed):
  plan = greedy_plan(listed)
  placed = []
  for index in sorted(range(len(listed)), key=lambda i: (-aligned(listed[i]), -i)):
    buffer, size = listed[index], aligned(listed[index])
    met = [(o, e) for b, o, e in placed if b.first <= buffer.last and buffer.first <= b.last]
    free = [
      offset
      for offset in (0, *(end for _, end in met))
      if not any(start < offset + size and end > offset for start, end in met)
    ]
    assert plan.offsets[index] == min(free)
    placed.append((buffer, min(free), min(free) + size))


@given(buffers, st.integers(1, 9), st.integers(0, 100))
def test_a_plan_grows_with_sizes_and_is_the_same_at_any_time(listed, factor, later):
  plan = greedy_plan(listed)
  scaled = greedy_plan([Buffer(factor * aligned(b), b.first, b.last) for b in listed])
  assert scaled.offsets == tuple(factor * offset for offset in plan.offsets)
  moved = greedy_plan([Buffer(b.size_bytes, b.first + later, b.last + later) for b in listed])
  assert moved == plan


def trial(index: int) -> Trial:
  graph = Graph()
  architecture = graph.finish(graph.classify(graph.input))
  measurement = Measurement(Status.COMPLETE, flash_bytes=index, detail='x' * (7 * index % 11))
  return Trial(index, index // 3, index, Proposal((index,), architecture), measurement, 0.1 * index)


def written(folder: pathlib.Path, order) -> pathlib.Path:
  path = folder / 'journal.jsonl'
  journal = Journal(path, configuration={'a': 1})
  for index in order:
    journal.add(trial(index))
  journal.close()
  return path


@hypothesis.settings(max_examples=30)  # each waits for the disk some twenty times
@given(
  order=st.integers(1, 8).flatmap(lambda count: st.permutations(range(count))),
  done=st.integers(0, 8),
  lost=st.integers(0, 200),
  lost_ahead=st.integers(0, 200),
)
def test_a_journal_that_is_cut_anywhere_goes_on_to_the_same_bytes(order, done, lost, lost_ahead):
  """Trials finish in any order; the search is killed, and each file may lack its last bytes."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    whole = written(folder / 'whole', sorted(order)).read_bytes()
    path = written(folder / 'cut', order[:done])
    ahead = path.with_name('journal.jsonl.ahead')
    kept = path.read_bytes()
    path.write_bytes(kept[: max(0, len(kept) - lost)])
    if ahead.exists():
      kept = ahead.read_bytes()
      ahead.write_bytes(kept[: max(0, len(kept) - lost_ahead)])
    journal = Journal(path, configuration={'a': 1})
    for index in sorted(order):
      found = journal.find(index)
      assert found is None or found == trial(index)
      if found is None:
        assert lost or lost_ahead or index in order[done:], 'nothing is lost without a cut'
        journal.add(trial(index))
    journal.close()
    assert path.read_bytes() == whole
    assert read_journal(path)[1] == [trial(index) for index in sorted(order)]
