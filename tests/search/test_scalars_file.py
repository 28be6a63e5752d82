"""What a strategy said of itself is read as it was written, whatever became of the file."""

from rlnas.evaluation.executors import InProcess
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.search.scalars_file import ScalarsFile, read_scalars
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.random_search import RandomSearch
from tests.synthetic import BUDGET, Synthetic


class Talkative(RandomSearch):
  def tell(self, trials):
    last = trials[-1].index
    return {'last': float(last), 'unknown': float('nan')}


def search(path, count: int) -> None:
  run_search(
    Talkative(compile_table(Chain(max_depth=2))),
    executor=InProcess(Synthetic()),
    reward=linear_excess,
    budget=BUDGET,
    trials=count,
    batch=4,
    observers=[ScalarsFile(path)],
  )


def test_each_batch_is_told_once_also_if_the_search_is_resumed(tmp_path):
  path = tmp_path / 'new' / 'scalars.jsonl'
  search(path, 6)
  assert read_scalars(path) == {'last': {3: 3.0, 5: 5.0}}
  search(path, 10)  # a resumed search passes its observers all trials again
  assert read_scalars(path) == {'last': {3: 3.0, 7: 7.0, 9: 9.0}}


def test_lines_that_are_not_whole_are_left_out(tmp_path):
  path = tmp_path / 'scalars.jsonl'
  assert read_scalars(path) == {}
  path.write_text('{"trial": 3, "loss": 0.5}\n[]\n{"loss": 1}\n{"trial": 5, "loss": "a"}\n{"tri')
  assert read_scalars(path) == {'loss': {3: 0.5}}
