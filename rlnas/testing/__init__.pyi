from . import evaluator, executor, space, strategy
from .evaluator import check_evaluator
from .executor import check_executor
from .space import check_space
from .strategy import check_strategy

__all__ = [
  'check_evaluator',
  'check_executor',
  'check_space',
  'check_strategy',
  'evaluator',
  'executor',
  'space',
  'strategy',
]
