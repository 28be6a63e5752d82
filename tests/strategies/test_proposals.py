import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, unrank
from rlnas.strategies.proposals import propose
from rlnas.trial import Proposal

TABLE = compile_table(Chain(max_depth=2))


def test_the_network_is_what_the_walk_describes():
  walk = unrank(TABLE, 7)
  architecture = decode(TABLE.space, walk)
  assert propose(TABLE, walk) == Proposal(walk, architecture, None, None)
  assert propose(TABLE, walk, log_prob=-2.5, parent=3) == Proposal(walk, architecture, -2.5, 3)


def test_what_is_no_walk_is_refused():
  with pytest.raises(ValueError, match='tokens'):
    propose(TABLE, ())
