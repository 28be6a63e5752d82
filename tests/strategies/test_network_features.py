"""What tells networks apart before they are trained."""

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.cost.cost import estimate_cost
from rlnas.spaces import (
  BlockQNN,
  Chain,
  ConvAutoencoder,
  Joint,
  MultiBranch,
  NASNet,
  Recurrent,
  Temporal,
  layers,
)
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.network_features import COUNTED, traits


def test_every_trait_of_a_small_network():
  graph = Graph()
  x = layers.conv(graph, Graph.input, filters=8, kernel=5, stride=2)  # 16 x 16 x 8
  x = layers.separable_conv(graph, x, filters=4, kernel=3, stride=4)  # 4 x 4 x 8, then x 4
  found = traits(graph.finish(graph.classify(x)))
  macs = 25 * 3 * 8 * 256 + 9 * 8 * 16 + 8 * 4 * 16 + 4 * 10
  weights = 25 * 3 * 8 + 9 * 8 + 8 * 4 + 4 * 10
  sizes = [macs, weights, 32 * 32 * 3 + 16 * 16 * 8, 8, 16, 8, 4, 4]
  np.testing.assert_allclose(found[:8], np.log1p(sizes))
  assert found[8:13].tolist() == [4, 1, 0, 2, 1]  # depth, maps by size, windows beyond 3x3
  counts = dict(zip(COUNTED, found[13:].tolist(), strict=True))
  present = {'input': 1, 'conv': 2, 'depthwise_conv': 1, 'global_avg_pool': 1, 'classifier': 1}
  assert {name: count for name, count in counts.items() if count} == present


@pytest.mark.parametrize(
  'space',
  [
    *(Chain(), MultiBranch(), NASNet(), BlockQNN(), Temporal(), Recurrent(), Joint()),
    ConvAutoencoder(),
  ],
  ids=str,
)
def test_networks_of_all_spaces_differ_in_them(space):
  table = compile_table(space)
  rng = np.random.default_rng(0)
  found = [traits(decode(space, sample_uniform(table, rng))) for _ in range(10)]
  assert np.isfinite(found).all()
  assert len({numbers.tobytes() for numbers in found}) >= 9


def test_work_and_weights_are_those_of_the_cost():
  space = MultiBranch()
  architecture = decode(space, sample_uniform(compile_table(space), np.random.default_rng(1)))
  known = estimate_cost(architecture, TaskShape((32, 32, 3), 10))
  macs, weights = np.expm1(traits(architecture)[:2])
  assert round(macs) == known.macs
  assert weights == pytest.approx(known.parameters, rel=0.1)  # that counts normalisation, too
