from .dataframe import frame_of
from .fidelity import (
  CurveExtrapolation,
  Predictor,
  PromotionRule,
  Pruner,
  SuccessiveHalving,
  as_blockqnn,
  by_regression,
  promote_none,
)
from .journal import Journal, JournalError, read_journal
from .loop import SearchError, run_search

__all__ = [
  'CurveExtrapolation',
  'Journal',
  'JournalError',
  'Predictor',
  'PromotionRule',
  'Pruner',
  'SearchError',
  'SuccessiveHalving',
  'as_blockqnn',
  'by_regression',
  'frame_of',
  'promote_none',
  'read_journal',
  'run_search',
]
