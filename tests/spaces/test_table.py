import numpy as np
import pytest
from scipy import stats

from rlnas.architecture import Graph
from rlnas.spaces import Chain
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

TINY = compile_table(Chain(max_depth=2, kernels=(3,), filters=(4, 8), max_strides=1))


def finished():
  return Graph().finish(0)


def test_uniform_samples_are_uniform():
  """Chi-square over all walks; the seed is fixed, the false-alarm rate 1e-4."""
  rng = np.random.default_rng(0)
  draws = 50 * TINY.size
  walks = dict.fromkeys(enumerate_tokens(TINY), 0)
  for _ in range(draws):
    walks[sample_uniform(TINY, rng)] += 1
  assert stats.chisquare(list(walks.values())).pvalue > 1e-4


def test_unrank_is_lexicographic_and_bounded():
  walks = [unrank(TINY, rank) for rank in range(TINY.size)]
  assert walks == sorted(walks)
  for rank in (-1, TINY.size):
    with pytest.raises(ValueError, match=f'rank={rank}'):
      unrank(TINY, rank)


def test_sizes_beyond_floats_are_exact():
  def many():
    for i in range(2000):
      yield Decision(f'{i}', 'bit', (0, 1))
    return finished()

  table = compile_table(lambda: _first(many(), 100))
  assert table.size == 2**100
  assert len(sample_uniform(table, np.random.default_rng(0))) == 100


def _first(walk, count):
  decision = next(walk)
  for _ in range(count):
    choice = yield decision
    decision = walk.send(choice)
  return finished()


def test_mutation_keeps_what_it_can():
  table = compile_table(Chain())
  choices = {}
  for i in range(8):
    choices |= {f'layer{i}/op': 'conv', f'layer{i}/kernel': 3, f'layer{i}/filters': 24}
    choices[f'layer{i}/stride'] = 1
  tokens = encode(table, choices)
  rng = np.random.default_rng(0)
  for _ in range(100):
    mutant = choices_of(table, mutate(table, tokens, rng))
    changed = {n for n in mutant if n in choices and mutant[n] != choices[n]}
    assert len(changed) == 1, 'every kept decision kept its choice'


def test_mutation_of_a_single_walk_returns_it():
  def one():
    yield Decision('only', 'only', ('this',))
    return finished()

  assert mutate(compile_table(one), (0,), np.random.default_rng(0)) == (0,)


@pytest.mark.parametrize(
  ('tokens', 'message'),
  [
    ((), 'needs another'),
    ((0, 0, 0), 'needs another'),
    ((0, 0, 0, 9), r'token 9 .* must lie in \[0, 2\)'),
    ((0, 0, 0, 0, 5, 0), 'the walk ends after 5'),
  ],
)
def test_foreign_tokens_are_refused_alike_by_table_and_walk(tokens, message):
  for check in (states_of, lambda table, t: decode(table.space, t)):
    with pytest.raises(ValueError, match=message):
      check(TINY, tokens)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'layer0/filters': 5}, 'layer0/filters=5: must be one of'),
    ({'layer9/op': 'conv'}, 'belong to no decision'),
  ],
)
def test_foreign_choices_are_refused(change, message):
  good = choices_of(TINY, unrank(TINY, 0))
  with pytest.raises(ValueError, match=message):
    encode(TINY, good | change)
  with pytest.raises(ValueError, match="none for 'layer0/op'"):
    encode(TINY, {})


def test_a_broken_promise_of_equal_futures_is_found():
  def forgetful():
    wide = yield Decision('wide', 'flag', (False, True))
    yield Decision('filters', 'filters', (8, 16) if wide else (4,))  # memory=(wide,) is missing
    return finished()

  with pytest.raises(ValueError, match='put what distinguishes them into memory'):
    compile_table(forgetful)


def test_malformed_spaces_are_refused():
  def repeats():
    for _ in range(2):
      yield Decision('same', 'kind', (1, 2))
    return finished()

  def counts():
    for place in range(2):
      yield Decision('same', 'kind', (1, 2), memory=(place,))
    return finished()

  def overwrites():
    for place in range(2):
      yield Decision(f'layer{place}', 'kind', (1, 2), anchor='one')
    return finished()

  def nothing():
    yield Decision('only', 'kind', (1, 2))

  def dangling():
    yield Decision('point', 'kind', (1, 2), points_to=(None, 'nowhere'))
    return finished()

  def empty():
    return finished()
    yield

  with pytest.raises(ValueError, match='names must not repeat'):
    compile_table(repeats)
  with pytest.raises(ValueError, match="its name 'same' occurs twice"):
    compile_table(counts)
  with pytest.raises(ValueError, match="its anchor 'one' occurs twice"):
    compile_table(overwrites)
  with pytest.raises(ValueError, match='returned None: must be an Architecture'):
    compile_table(nothing)
  with pytest.raises(ValueError, match='no such anchor'):
    compile_table(dangling)
  with pytest.raises(ValueError, match='makes no decision'):
    compile_table(empty)
  with pytest.raises(ValueError, match='more than 3 states'):
    compile_table(Chain(), max_states=3)


def test_malformed_decisions_are_refused():
  with pytest.raises(ValueError, match='at least one'):
    Decision('a', 'k', ())
  with pytest.raises(ValueError, match='repeat'):
    Decision('a', 'k', (1, 1))
  with pytest.raises(ValueError, match='repeat'):
    Decision('a', 'k', (True, 1))
  with pytest.raises(ValueError, match='points_to'):
    Decision('a', 'k', (1, 2), points_to=('x',))
