import json
import pathlib
import re
import subprocess
import sys

import pytest

from rlnas.cli.flags import FIRST
from rlnas.cli.main import COMMANDS, main
from tests.cli.command import launched, refused

# Argument, and what the error says of it.
WRONG_FLAGS = [
  ('--trials=0', 'at least 1'),
  ('--trials=many', 'invalid literal for int()'),
  ('--batch=0', 'at least 1'),
  ('--lag=-1', 'at least 0'),
  ('--epochs=-2', 'at least 1'),
  ('--fidelity=1000', 'must be stages such as 10000x1'),
  ('--pruner=shears', 'must be one of halving'),
  ('--finish_epochs=0', 'at least 1'),
  ('--finish_top=0', 'at least 1'),
  ('--finish_seeds=0', 'at least 1'),
  ('--finish_patience=-1', 'at least 1'),
  ('--finish_shift=-1', 'at least 0'),
  ('--minutes=0', 'positive'),
  ('--finish_further_epochs=0', 'at least 1'),
  ('--finish_prune=1', 'must lie in (0, 1)'),
  ('--finish_teacher=me', 'must be one of ensemble, wide'),
  ('--finish_learning_rate=0', 'positive'),
  ('--finish_warmup=1', 'must lie in [0, 1)'),
  ('--prefer=fastest', 'must be one of accuracy, balanced, smallest'),
  ('--workers=0', 'at least 1'),
  ('--trial_timeout=0', 'positive'),
  ('--trial_timeout=nan', 'positive'),
  ('--executor=cloud', 'must be one of pool, ray'),
  ('--ray_address=10.0.0.1:6379', 'needs --executor=ray'),
  ('--executor=inprocess --workers=2', 'starts no worker processes'),
  ('--executor=inprocess --trial_timeout=5', 'cannot stop a trial'),
  ('--board=uno9000', 'must be'),
  ('--board=absent.json', 'No such file'),
  ('--flash_kib=-1', 'positive'),
  ('--flash_kib=nan', 'positive'),
  ('--sram_kib=0', 'positive'),
  ('--max_latency_ms=0', 'must be positive'),
  ('--space=hyperspace', 'must be one of chain'),
  ('--space=nowhere:Space', 'there is no module nowhere'),
  ('--space=rlnas.spaces:Nothing', 'has no Nothing'),
  ('--space=not-a-name:Space', 'must be package.module:Name'),
  ('--space_option=max_depth=deep', 'like max_depth=8'),
  ('--space_option=colour=red', 'has the options'),
  ('--space_option=max_depth=0', 'at least 1'),
  ('--strategy=luck', 'must be one of'),
  ('--strategy_option=elite=many', 'must be of type int, like elite=5'),
  ('--strategy_option=elite', 'must be of type int'),
  ('--strategy_option=units=half', 'must be of type int, like units=35'),
  ('--reward=love', 'must be one of'),
  ('--reward_option=weight=heavy', 'like weight=1.0'),
  ('--dataset=absent.npz', 'no such file or folder'),
  ('--dataset=absent', 'must be one of'),
  ('--data_dir=here', 'only'),
  ('--no_such_flag', 'there is no such flag'),
]


@pytest.mark.parametrize(('argument', 'rule'), WRONG_FLAGS)
def test_a_wrong_flag_is_one_clear_line(argument, rule, tmp_path):
  message = refused('search', '--dataset=digits', f'--workdir={tmp_path}', *argument.split())
  name, _, value = argument.split()[-1].lstrip('-').partition('=')
  assert rule in message
  assert name in message or value in message
  assert value.partition('=')[0] in message
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('arguments', 'meant'),
  [
    (('search', '--bord=esp32'), '--board'),
    (('search', '--strategy=rienforce'), 'reinforce'),
    (('search', '--space=chian'), 'chain'),
    (('search', '--reward=linear_exces'), 'linear_excess'),
    (('search', '--strategy=zoph_le', '--strategy_option=entropy_wieght=1'), 'entropy_weight'),
    (('search', '--board=esp-32'), 'esp32'),
    (('serch',), 'search'),
    (('finish', '--finish_epoch=3'), '--finish_epochs'),
    (('boards', 'esp-32'), 'esp32'),
  ],
)
def test_a_near_miss_is_told_what_was_meant(arguments, meant):
  assert f'did you mean {meant}' in refused(*arguments)


@pytest.mark.parametrize('command', [c for c in COMMANDS if c not in ('measure', 'boards')])
def test_what_is_no_flag_is_refused(command):
  assert "'surplus'" in refused(command, 'surplus')


def test_flags_of_one_command_are_not_those_of_another():
  assert '--trials: there is no such flag' in refused('finish', '--trials=3')


def test_without_a_command_there_is_an_overview(capsys):
  with pytest.raises(SystemExit) as ended:
    main([])
  assert ended.value.code == 2
  shown = capsys.readouterr().out
  assert all(f'  {name} ' in shown for name in COMMANDS)


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_has_help(command, capsys):
  main([command, '--help'])
  shown = capsys.readouterr().out
  assert shown.startswith(f'usage: rlnas {command}')
  assert max(map(len, shown.splitlines())) <= 140


def test_the_help_of_search_begins_with_what_most_searches_set(capsys):
  main(['search', '--help'])
  first, _, others = capsys.readouterr().out.partition('This command:')
  found = re.findall(r'^  --(?:\[no\])?(\w+)', first, flags=re.MULTILINE)
  assert found == list(FIRST)
  assert len(FIRST) == 10
  assert not [name for name in FIRST if f'\n  --{name}=' in others]  # each stands once


def test_the_help_of_search_tells_the_options_and_their_meaning(capsys):
  main(['search', '--help'])
  shown = capsys.readouterr().out
  for text in ('--strategy=zoph_le, --strategy_option=', 'learning_rate=0.0025', 'units=35'):
    assert text in shown
  # Texts come from the docstrings.
  assert 'share of the uniform distribution, in [0, 1], in the mixture' in shown
  assert 'exponent of the ratio used / limit if it is above 1' in shown


def test_help_and_mistakes_do_not_load_tensorflow():
  code = (
    'import json, sys\n'
    'from rlnas.cli.main import main\n'
    'for arguments in json.loads(sys.argv[1]):\n'
    '  try: main(arguments)\n'
    '  except SystemExit: pass\n'
    'heavy = ("tensorflow", "numba", "sklearn", "pandas", "scipy")\n'
    'print([name for name in heavy if name in sys.modules], file=sys.stderr)\n'
  )
  tried = [['search', '--help'], ['--help'], ['search', '--bord=esp32'], ['search', '--trials=0']]
  tried += [['search', '--strategy=ppo', '--strategy_option=clip=none'], ['boards']]
  command = [sys.executable, '-c', code, json.dumps(tried)]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert done.stderr == '[]\n'


def test_it_runs_as_a_module_and_as_a_script():
  done = launched('boards', 'nucleo-l010rb')
  assert '60,720' in done.stdout
  script = pathlib.Path(sys.executable).with_name('rlnas')
  if script.exists():  # it is installed, not only on the path
    again = subprocess.run([script, 'boards', 'nucleo-l010rb'], capture_output=True, text=True)
    assert again.stdout == done.stdout


OWN = """
import dataclasses
import rlnas


@dataclasses.dataclass(frozen=True)
class Space(rlnas.Chain):
  def __post_init__(self):
    raise TypeError('broken')


class Needy:
  def __init__(self, table, *, temperature): ...


class Tableless:
  def __init__(self, *, seed): ...


def one_argument(measurement):
  return 0.0


def no_number(measurement, budget):
  return 'good'


def by_latency(measurement, budget):
  return budget.latency_ms - measurement.latency_ms  # there is no limit


NUMBER = 3
"""


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--space=mine:Space',), "--space='mine:Space': broken"),
    (('--space=mine:Nowhere',), "--space='mine:Nowhere': module mine has no Nowhere"),
    (('--space=mine:NUMBER',), "--space='mine:NUMBER': is 3; must be callable"),
    (
      ('--space_option=max_depth=0',),
      '--space_option=max_depth=0: max_depth=0: must be at least 1',
    ),
    (('--strategy=mine:Needy',), "--strategy='mine:Needy': cannot be called as it must be"),
    (('--strategy=mine:Tableless',), "--strategy='mine:Tableless': cannot be called as it must be"),
    (('--strategy_option=units=-8',), 'units=-8: must be at least 1'),
    (('--strategy=evolution', '--strategy_option=sample=50'), 'sample=50: must lie in'),
    (('--strategy=random', '--strategy_option=x=1'), 'random has the options admits=True'),
    (
      ('--reward=mine:one_argument',),
      "--reward='mine:one_argument': cannot be called as it must be",
    ),
    (('--reward=mine:by_latency',), "--reward='mine:by_latency': unsupported operand"),
    (('--reward=mine:no_number',), "--reward='mine:no_number': gives 'good'; must give a number"),
    (
      ('--reward=absolute', '--reward_option=beta=1'),
      '--reward_option=beta=1.0: beta=1.0: must be',
    ),
  ],
)
def test_what_cannot_be_built_leaves_the_folder_free(flags, message, tmp_path, monkeypatch):
  (tmp_path / 'mine.py').write_text(OWN)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, 'mine', raising=False)
  workdir = tmp_path / 'workdir'
  assert message in refused('search', '--dataset=digits', f'--workdir={workdir}', *flags)
  assert not (workdir / 'journal.jsonl').exists()
