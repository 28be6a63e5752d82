import dataclasses

import numpy as np
import pytest

from rlnas.spaces import (
  Autoencoder,
  BlockQNN,
  Chain,
  ConvAutoencoder,
  Joint,
  MultiBranch,
  NASNet,
  Preprocessed,
  PreprocessedSound,
  Recurrent,
  Temporal,
)
from rlnas.spaces.decision import Space
from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import compile_table
from rlnas.strategies.proposals import propose_uniform
from rlnas.testing import check_space
from tests.spaces.residuals import Residuals


@dataclasses.dataclass(frozen=True)
class Case:
  space: Space  # as users have it
  small: Space  # can be enumerated
  input_shape: tuple[int, ...]


SPACES = {
  'chain': Case(
    Chain(), Chain(max_depth=2, kernels=(3,), filters=(4, 8), max_strides=1), (28, 28, 1)
  ),
  'multibranch': Case(
    MultiBranch(),
    MultiBranch(depth=3, heights=(3,), widths=(1, 3), filters=(4, 8), max_strides=1),
    (28, 28, 1),
  ),
  'nasnet': Case(NASNet(), NASNet(blocks=1, operations=('identity', 'conv_3x3')), (28, 28, 1)),
  'blockqnn': Case(BlockQNN(), BlockQNN(max_layers=2, filters=(4,)), (28, 28, 1)),
  'temporal': Case(
    Temporal(),
    Temporal(
      max_depth=2,
      operations=('conv', 'max_pool'),
      first_kernels=(3,),
      filters=(4, 8),
      dilations=(1, 2),
    ),
    (1, 49, 10),
  ),
  'preprocessed': Case(
    Preprocessed(Temporal(), steps=49, features=10),
    Preprocessed(
      Temporal(max_depth=1, first_kernels=(3,), filters=(4, 8)),
      steps=49,
      features=6,
      windows=(49, 20),
      rates=(1, 3),
    ),
    (1, 49, 10),
  ),
  'preprocessed sound': Case(
    PreprocessedSound(Temporal(), 1000, 16_000),
    PreprocessedSound(
      *(Temporal(max_depth=1, first_kernels=(3,), filters=(4, 8)), 500, 8000),
      **{'mel_bins': (72, 8), 'frame_ms': (32, 15), 'frame_hop_ms': (20, 10)},
    ),
    (1, 49, 40),
  ),
  'recurrent': Case(Recurrent(), Recurrent(base=1, steps=2), (49, 10)),
  'joint': Case(
    Joint(),
    Joint(
      max_stages=2, max_repeats=1, widths=(4, 8), max_strides=1, blocks=1, operations=('conv_1x1',)
    ),
    (28, 28, 1),
  ),
  'autoencoder': Case(
    Autoencoder(), Autoencoder(max_layers=2, widths=(4, 8), codes=(2, 4)), (1, 1, 40)
  ),
  'conv_autoencoder': Case(
    ConvAutoencoder(),
    ConvAutoencoder(max_layers=2, kernels=(3,), strides=(1, 2), filters=(4, 8), codes=(2, 4)),
    (1, 49, 10),
  ),
  'residuals': Case(Residuals(), Residuals(max_blocks=2), (28, 28, 1)),
  'nasbench201': Case(NasBench201(), NasBench201(), (32, 32, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', SPACES)
def test_it_keeps_the_contract(name):
  case = SPACES[name]
  check_space(case.space, case.input_shape, small=case.small)


@pytest.mark.parametrize('name', sorted(SPACES.keys() - {'nasbench201'}))
def test_its_networks_have_no_node_that_the_output_does_not_depend_on(name):
  table, rng = compile_table(SPACES[name].space), np.random.default_rng(0)
  for proposal in [propose_uniform(table, rng) for _ in range(20)]:
    assert proposal.digest == proposal.architecture.digest
