"""Wrong calls of the public API: each is one error with the argument, its value and the rule."""

import dataclasses
import json

import numpy as np
import pytest

import rlnas
from rlnas import Board, Budget, Chain, Controller, compile_table, reward, spaces
from rlnas.architecture import Architecture, TaskShape
from rlnas.data import loaders
from rlnas.data.dataset import validate
from rlnas.data.scaling import Scaling
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.evaluation.ray_executor import RayCluster
from rlnas.evaluation.screened import Screened, may_fit
from rlnas.spaces.decision import Decision, decode
from rlnas.spaces.table import unrank
from rlnas.trial import Measurement, Status
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=2))
CONTROLLER = Controller(TABLE, seed=0)
ARCHITECTURE = decode(TABLE.space, unrank(TABLE, 0))
MEASURED = Synthetic().evaluate(ARCHITECTURE, seed=0)
LATENCY = Budget(10**6, 10**6, latency_ms=5)
FAILED = Measurement(Status.FAILED)
DIGITS = loaders.digits()
BOARD = rlnas.BOARDS['nucleo-l010rb']
RNG = np.random.default_rng(0)
TASK = TaskShape((28, 28, 1), 10)


def search(**options):
  settings = {'reward': reward.linear_excess, 'budget': BUDGET, 'trials': 2}
  strategy = rlnas.RandomSearch(TABLE)
  return rlnas.run_search(strategy, executor=InProcess(Synthetic()), **settings | options)


def architecture(*rows):
  return lambda: Architecture.from_json(json.dumps(rows))


def replaced(thing, **fields):
  return lambda: dataclasses.replace(thing, **fields)


def npz(**arrays):
  def call(folder):
    np.savez(folder / 'data.npz', **arrays)
    return loaders.load(str(folder / 'data.npz'))

  return call


def board_file(text):
  def call(folder):
    (folder / 'board.json').write_text(text)
    return rlnas.board.load_board(folder / 'board.json')

  return call


def journal_line(text):
  def call(folder):
    path = folder / 'journal.jsonl'
    rlnas.Journal(path, configuration={}).close()
    with path.open('a') as file:
      file.write(text + '\n')
    return rlnas.Journal(path, configuration={})

  return call


INPUT = ('input', [], {})
X = np.zeros((20, 4, 4, 1), np.float32) + np.arange(4, dtype=np.float32)[:, None]
Y = np.arange(20) % 2

# Call; argument, value and rule as the message has them.
WRONG = [
  (lambda: search(trials=0), 'trials', '0', 'at least 1'),
  (lambda: search(batch=0), 'batch', '0', 'at least 1'),
  (lambda: search(lag=-1), 'lag', '-1', 'at least 0'),
  (lambda: WorkerPool(Synthetic(), workers=0), 'workers', '0', 'at least 1'),
  (lambda: WorkerPool(Synthetic(), workers=1, trial_timeout=-1), 'trial_timeout', '-1', 'positive'),
  (lambda: RayCluster(Synthetic(), trial_timeout=0), 'trial_timeout', '0', 'positive'),
  (lambda: RayCluster(Synthetic(), address='nowhere'), 'address', 'nowhere', 'must be like'),
  (lambda: RayCluster(Synthetic(), address='host:99999'), 'address', '99999', 'must be like'),
  (lambda: TaskShape((28,), 10), 'input_shape', '(28,)', 'two or three positive integers'),
  (lambda: TaskShape((28, 0, 1), 10), 'input_shape', '(28, 0, 1)', 'two or three positive'),
  (lambda: TaskShape((28, 28.0, 1), 10), 'input_shape', '(28, 28.0, 1)', 'positive integers'),
  (lambda: TaskShape((28, 28, 1), 0), 'classes', '0', 'positive integer'),
  (lambda: TaskShape((28, 28, 1), True), 'classes', 'True', 'positive integer'),
  (lambda: Budget(0, 1), 'flash_bytes', '0', 'positive integer'),
  (lambda: Budget(1, -5), 'sram_bytes', '-5', 'positive integer'),
  (lambda: Budget(1.5, 1), 'flash_bytes', '1.5', 'positive integer'),
  (lambda: Budget(1, True), 'sram_bytes', 'True', 'positive integer'),
  (replaced(BOARD, name=' '), 'name', "' '", 'not empty'),
  (replaced(BOARD, clock_hz=0), 'clock_hz', '0', 'positive integer'),
  (replaced(BOARD, flash_bytes='64'), 'flash_bytes', "'64'", 'positive integer'),
  (replaced(BOARD, reserved_sram_bytes=-1), 'reserved_sram_bytes', '-1', 'at least 0'),
  (lambda: replaced(BOARD, reserved_sram_bytes=2**20)().budget, 'reserved_sram_bytes', '1048576',
   'leaves nothing'),
  (lambda: rlnas.board.find_board('uno9000'), 'board', 'uno9000', 'must be'),
  (board_file('[]'), 'board.json', 'list', 'must be a JSON object'),
  (board_file('{'), 'board.json', '', 'must be JSON'),
  (board_file('{"colour": 1}'), 'colour', '1', 'unknown key'),
  (board_file('{"name": "x"}'), 'board.json', '', 'is missing'),
  (lambda: Chain(max_depth=0), 'max_depth', '0', 'at least 1'),
  (lambda: Chain(max_strides=-1), 'max_strides', '-1', 'at least 0'),
  (lambda: Chain(kernels=()), 'kernels', '()', 'at least one'),
  (lambda: Chain(filters=(8, 8)), 'filters', '(8, 8)', 'distinct'),
  (lambda: Chain(operations=('max_pool',)), 'operations', "('max_pool',)", 'at least one'),
  (lambda: Chain(operations=('warp',)), 'operations', "('warp',)", 'must be taken from'),
  (lambda: Chain(operations=('conv', 'conv')), 'operations', "('conv', 'conv')", 'must differ'),
  (lambda: Screened(Synthetic(), LATENCY, TASK), 'speed', 'None', '5 ms'),
  (lambda: may_fit(ARCHITECTURE, LATENCY, TASK), 'speed', 'None', '5 ms'),
  (lambda: Decision('d', 'k', ()), "'d'", 'choices', 'at least one'),
  (lambda: Decision('d', 'k', (1, 1)), "'d'", '(1, 1)', 'repeat'),
  (lambda: decode(TABLE.space, ()), 'tokens', '0', 'needs another'),
  (lambda: decode(TABLE.space, (*unrank(TABLE, 0), 0)), 'tokens', 'given', 'the walk ends'),
  (lambda: unrank(TABLE, -1), 'rank', '-1', 'must lie in'),
  (lambda: unrank(TABLE, TABLE.size), 'rank', str(TABLE.size), 'must lie in'),
  (lambda: Controller((), seed=0), 'tables', '()', 'at least one'),
  (lambda: Controller(TABLE, seed=0, layers=0), 'layers', '0', 'at least 1'),
  (lambda: Controller(TABLE, seed=0, units=0), 'units', '0', 'at least 1'),
  (lambda: Controller(TABLE, seed=0, init_scale=0), 'init_scale', '0', 'positive'),
  (lambda: rlnas.Reinforce(TABLE, controller=CONTROLLER, learning_rate=0), 'learning_rate', '0',
   'positive'),
  (lambda: rlnas.Reinforce(TABLE, controller=CONTROLLER, elite=-1), 'elite', '-1', 'at least 0'),
  (lambda: rlnas.Reinforce(TABLE, controller=CONTROLLER, exploration=2), 'exploration', '2',
   'must lie in'),
  (lambda: rlnas.Reinforce(TABLE, controller=CONTROLLER, candidates=0), 'candidates', '0',
   'at least 1'),
  (lambda: rlnas.ZophLe(TABLE, controller=CONTROLLER, learning_rate=0), 'learning_rate', '0',
   'positive'),
  (lambda: rlnas.ZophLe(TABLE, controller=CONTROLLER, baseline_decay=1), 'baseline_decay', '1',
   'must lie in'),
  (lambda: rlnas.ZophLe(TABLE, controller=CONTROLLER, updates=0), 'updates', '0', 'at least 1'),
  (lambda: rlnas.ZophLe(TABLE, controller=CONTROLLER, entropy_weight=-1), 'entropy_weight', '-1',
   'at least 0'),
  (lambda: rlnas.PPO(TABLE, controller=CONTROLLER, clip=0), 'clip', '0', 'must'),
  (lambda: rlnas.PPO(TABLE, controller=CONTROLLER, updates=0), 'updates', '0', 'at least 1'),
  (lambda: rlnas.QLearning(TABLE, learning_rate=0), 'learning_rate', '0', 'must'),
  (lambda: rlnas.QLearning(TABLE, replays=-1), 'replays', '-1', 'at least 1'),
  (lambda: rlnas.QLearning(TABLE, schedule=()), 'schedule', '()', 'must'),
  (lambda: rlnas.Evolution(TABLE, population=0), 'population', '0', 'at least 1'),
  (lambda: rlnas.Evolution(TABLE, sample=0), 'sample', '0', 'must lie in'),
  (lambda: rlnas.Evolution(TABLE, sample=21), 'sample', '21', 'must lie in'),
  (lambda: rlnas.Evolution(TABLE).ask(0, RNG), 'count', '0', 'at least 1'),
  (lambda: rlnas.RandomSearch(TABLE).ask(0, RNG), 'count', '0', 'at least 1'),
  (lambda: reward.linear_excess(FAILED, BUDGET), 'status', 'failed', 'has no reward'),
  (lambda: reward.linear_excess(MEASURED, BUDGET, weight=-1), 'weight', '-1', 'at least 0'),
  (lambda: reward.weighted_product(MEASURED, BUDGET, w_above=1), 'w_above', '1', 'must lie in'),
  (lambda: reward.absolute(MEASURED, BUDGET, beta=1), 'beta', '1', 'at most 0'),
  (lambda: reward.linear_excess(replaced(MEASURED, int8_validation_accuracy=1.5)(), BUDGET),
   'int8_validation_accuracy', '1.5', 'must lie in'),
  (lambda: rlnas.Trained(DIGITS, epochs=0), 'epochs', '0', 'at least 1'),
  (lambda: rlnas.Trained(DIGITS, epochs=()), 'epochs', '()', 'at least one stage'),
  (lambda: rlnas.Trained(DIGITS, batch_size=-1), 'batch_size', '-1', 'positive'),
  (lambda: rlnas.Trained(DIGITS, learning_rate=0.0), 'learning_rate', '0.0', 'positive'),
  (lambda: rlnas.Trained(DIGITS, calibration_examples=0), 'calibration_examples', '0', 'positive'),
  (lambda: loaders.load('no_such_thing'), 'dataset', 'no_such_thing', 'must be one of'),
  (lambda: loaders.load('digits', data_dir='x'), 'data_dir', "'x'", 'only'),
  (lambda: loaders.take(DIGITS, 0), 'count', '0', 'must be in'),
  (lambda: Scaling(0.0, 0.0), 'scale', '0.0', 'positive'),
  (lambda: Scaling(float('nan'), 1.0), 'offset', 'nan', 'finite'),
  (lambda: validate(replaced(DIGITS, class_names=('a',) * 10)()), 'class_names', "'a'",
   'must differ'),
  (lambda: validate(replaced(DIGITS, y_val=DIGITS.y_val[:-1])()), 'y_val', 'shape',
   'one label for each'),
  (npz(x_train=X), 'y_train', 'x_train', 'must have examples'),
  (npz(x_train=X, y_train=Y, x_trial=X), 'x_trial', 'data.npz', 'unknown key'),
  (npz(x_train=X, y_train=Y * 0), 'y_train', '0', 'at least 2 classes'),
  (npz(x_train=X[:, 0, 0], y_train=Y), 'x_train', '(20, 1)', 'must be images'),
  (npz(x_train=X * np.nan, y_train=Y), 'x_train', 'NaN', 'must be finite'),
  (npz(x_train=X, y_train=Y, x_val=X), 'x_val', 'only one', 'both or neither'),
  (npz(x_train=np.array([{}] * 20), y_train=Y), 'data.npz', '', 'pickle'),
  (lambda: Architecture.from_json('{'), 'architecture', '', 'not JSON'),
  (architecture(('conv', [], {})), 'nodes', 'first', 'must be the input'),
  (architecture(INPUT, ('warp', [0], {})), 'node 1', "'warp'", 'unknown op'),
  (architecture(INPUT, ('add', [0, 7], {})), 'node 1', '7', 'do not all precede'),
  (journal_line('{"index": 0}'), 'journal.jsonl:2', 'KeyError', 'keep only its first 1 lines'),
  (journal_line('null'), 'journal.jsonl:2', 'TypeError', 'keep only its first 1 lines'),
  (lambda: spaces.NASNet(blocks=0), 'blocks', '0', 'at least 1'),
  (lambda: spaces.MultiBranch(depth=0), 'depth', '0', 'at least 1'),
]  # fmt: skip


@pytest.mark.parametrize(
  ('call', 'argument', 'value', 'rule'), WRONG, ids=[f'{n}-{w[1]}' for n, w in enumerate(WRONG)]
)
def test_a_wrong_call_is_one_clear_error(tmp_path, call, argument, value, rule):
  with pytest.raises(ValueError) as caught:  # noqa: PT011  the three columns are the match
    call(tmp_path) if call.__code__.co_argcount else call()
  message = str(caught.value)
  for part in (argument, value, rule):
    assert part in message
  assert '\n' not in message


def test_a_board_needs_all_its_figures():
  with pytest.raises(TypeError, match='missing'):
    Board('name')
