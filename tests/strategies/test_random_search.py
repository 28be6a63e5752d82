import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rlnas.architecture import Graph
from rlnas.spaces import Chain
from rlnas.spaces.decision import Decision
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies.random_search import RandomSearch

SMALL = compile_table(Chain(max_depth=2, kernels=(3,), filters=(4, 8), max_strides=1))


def test_every_walk_is_equally_likely():
  """Chi-square over the whole space at a fixed seed; false-alarm rate 1e-4."""
  draws = 20 * SMALL.size
  proposals = RandomSearch(SMALL).ask(draws, np.random.default_rng(0))
  counts = Counter(proposal.tokens for proposal in proposals)
  expected = draws / SMALL.size
  walks = list(enumerate_tokens(SMALL))
  statistic = sum((counts[walk] - expected) ** 2 / expected for walk in walks)
  assert statistic < stats.chi2.isf(1e-4, len(walks) - 1)


def digits():
  """8^350 walks: more than a float can hold."""
  for i in range(350):
    yield Decision(f'digit{i}', 'digit', tuple(range(8)))
  graph = Graph()
  return graph.finish(graph.classify(graph.input))


def test_the_log_probability_is_exact_beyond_the_range_of_floats():
  table = compile_table(digits)
  assert table.size > 2**1024
  log_prob = RandomSearch(table).ask(1, np.random.default_rng(0))[0].log_prob
  assert log_prob == pytest.approx(-350 * math.log(8), rel=1e-12)


def test_it_needs_no_tensorflow():
  code = (
    'import sys, rlnas.strategies.random_search; '
    'assert not {"tensorflow", "tf_keras", "rlnas.backend"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
