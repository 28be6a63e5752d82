from .choice import Prefer
from .evaluator import Finishing
from .finalists import Candidate, Finalist
from .plan import Plan, Teaching
from .recipe import Finished, Recipe
from .winner import Winner, finish_best, write_winner

__all__ = [
  'Candidate',
  'Finalist',
  'Finished',
  'Finishing',
  'Plan',
  'Prefer',
  'Recipe',
  'Teaching',
  'Winner',
  'finish_best',
  'write_winner',
]
