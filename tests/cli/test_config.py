import dataclasses
import json
import math
import shlex

import pytest
from absl import flags

from rlnas.board import BOARDS
from rlnas.budget import Budget
from rlnas.cli.build import build_reward, journal_configuration, set_up
from rlnas.cli.choices import recorded, recorded_options, reward_options, space_options
from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.config_file import read_config, write_config
from rlnas.cli.export import command
from rlnas.cli.flags import define_finish_flags, define_search_flags, parse, read_search_config
from rlnas.cli.workdir import space_of
from rlnas.cost.speed import CORES

# As it was written before the file had a format number.
FORMAT_1 = {
  'dataset_digest': '4a066a266c158a46',
  'space': 'chain',
  'space_options': 'filters=8,16 max_depth=3',
  'strategy': 'reinforce',
  'reward': 'absolute',
  'budget_flash_bytes': 24576,
  'budget_sram_bytes': 16384,
  'budget_macs': 2000000,
  'budget_latency_ms': None,
  'batch': 4,
  'fidelity': 'allx7',
  'ladder': None,
  'inherit': False,
  'seed': 3,
  'rlnas': '0.1.0',
  'tensorflow': '2.21.0',
  'onednn': '1',
  'lag': 2,
  'dataset': 'digits',
  'board': 'nucleo-l010rb',
  'trials': 6,
  'minutes': None,
  'finish_top': 2,
  'finish_epochs': 4,
  'finish_teacher': 'wide',
}


def from_flags(*arguments):
  values = flags.FlagValues()
  define_search_flags(values)
  define_finish_flags(values)
  parse(values, ['rlnas', *arguments])
  return read_search_config(values)


def test_without_flags_the_defaults_hold():
  assert from_flags() == SearchConfig()


def test_a_configuration_is_read_as_it_was_written(tmp_path):
  config = SearchConfig(
    dataset='digits',
    space_options=('max_depth=3',),
    strategy_options=('units=8', 'elite=3'),
    flash_kib=24.5,
    fidelity='100x1,allx2',
    workdir=str(tmp_path),
    finish=FinishConfig(top=1, patience=3),
  )
  write_config(config, tmp_path)
  assert json.loads((tmp_path / 'config.json').read_text())['format'] == 3
  assert read_config(tmp_path) == config


def test_the_command_of_a_configuration_gives_it_again(tmp_path):
  config = SearchConfig(
    dataset='digits',
    space_options=('filters=8,16', 'max_depth=3'),
    reward='absolute',
    reward_options=('beta=-0.2',),
    sram_kib=7.25,
    inherit=True,
    strategy='evolution',
    minutes=2.5,
    workdir=str(tmp_path / 'my run'),
    finish=FinishConfig(flip=True, teacher='wide', learning_rate=1e-3),
  )
  words = shlex.split(command(config).replace('\\\n', ' '))
  assert words[:2] == ['rlnas', 'search']
  assert from_flags(*words[2:]) == config


def test_a_configuration_without_a_format_number_is_still_read(tmp_path):
  (tmp_path / 'config.json').write_text(json.dumps(FORMAT_1))
  config = read_config(tmp_path)
  assert config == SearchConfig(
    dataset='digits',
    space='chain',
    space_options=('filters=8,16', 'max_depth=3'),
    strategy='zoph_le',
    reward='absolute',
    flash_kib=24.0,
    max_mmacs=2.0,
    epochs=7,
    seed=3,
    lag=2,
    trials=6,
    workdir=str(tmp_path),
    finish=FinishConfig(top=2, epochs=4, teacher='wide'),
  )
  assert config.budget() == Budget(24576, 16384, 2_000_000)
  stages = {**FORMAT_1, 'fidelity': '100x1,allx2', 'ladder': 'curve', 'board': 'gone.json'}
  (tmp_path / 'config.json').write_text(json.dumps(stages))
  config = read_config(tmp_path)
  assert config.stages() == ((100, 1), (None, 2))
  assert config.pruner == 'curve'
  assert (config.flash_kib, config.sram_kib) == (24.0, 16.0)  # the board's file is gone


@pytest.mark.parametrize(
  ('old', 'strategy', 'options'),
  [
    (('reinforce', ('units=8',)), 'zoph_le', ('units=8',)),
    (('imitation', ('best=3',)), 'reinforce', ('imagined=0', 'real=false', 'elite=3')),
    (('evolution', ('sample=3',)), 'evolution', ('sample=3',)),
  ],
)
def test_strategies_of_format_2_have_the_names_of_today(old, strategy, options, tmp_path):
  write_config(SearchConfig(dataset='digits', workdir=str(tmp_path)), tmp_path)
  path = tmp_path / 'config.json'
  record = {**json.loads(path.read_text()), 'format': 2}
  record |= {'strategy': old[0], 'strategy_options': old[1]}
  path.write_text(json.dumps(record))
  read = read_config(tmp_path)
  assert (read.strategy, read.strategy_options) == (strategy, options)


@pytest.mark.parametrize(
  ('content', 'rule'),
  [
    ('{', 'Expecting property name'),
    ('[]', 'must hold the settings'),
    ('{"dataset": "digits", "format": 9}', 'format 9; this version reads 1 to 3'),
    ('{"dataset": "digits", "format": 3}', 'finish'),
    ('{"dataset": "digits", "format": 3, "finish": {}, "colour": 1}', 'colour'),
    ('{"dataset": "digits", "format": 3, "finish": {"top": 0}}', 'top=0: must be at least 1'),
  ],
)
def test_a_damaged_configuration_is_one_error_that_names_the_file(content, rule, tmp_path):
  (tmp_path / 'config.json').write_text(content)
  with pytest.raises(ValueError, match=r'config\.json: ') as caught:
    read_config(tmp_path)
  assert rule in str(caught.value)


def test_limits_are_put_in_place_of_the_boards():
  board = BOARDS['esp32'].budget
  config = SearchConfig(board='esp32', flash_kib=1.5, max_mmacs=0.25, max_latency_ms=3.0)
  assert config.budget() == Budget(1536, board.sram_bytes, 250_000, 3.0)


def test_every_setting_says_what_it_is_and_what_holds_without_it():
  for kind in (SearchConfig, FinishConfig):
    for field in dataclasses.fields(kind):
      if field.name == 'finish':
        continue
      text = field.metadata['text']
      assert text[0].isupper(), field.name
      assert text.endswith('.'), field.name
      assert len(text) > 10, field.name
      if field.default is None:
        assert any(
          word in text
          for word in ('efault', 'not given', 'without it', 'In place of', 'in place of')
        ), field.name


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'space_options': 'max_depth=4'}, "space_option='max_depth=4': must be of type tuple"),
    ({'trials': '4'}, "trials='4': must be of type int"),
    ({'trials': 2.5}, 'trials=2.5: must be of type int'),
    ({'inherit': 1}, 'inherit=1: must be of type bool'),
    ({'flash_kib': True}, 'flash_kib=True: must be of type float'),
  ],
)
def test_a_value_of_another_type_is_refused(settings, message):
  with pytest.raises(ValueError, match='must be of type') as caught:
    SearchConfig(**settings)
  assert str(caught.value).startswith(message)


def test_the_speed_is_that_of_the_board_however_it_is_given(tmp_path):
  board = dataclasses.asdict(BOARDS['esp32'])
  (tmp_path / 'copy.json').write_text(json.dumps(board))
  assert SearchConfig(board=str(tmp_path / 'copy.json')).speed() == BOARDS['esp32'].speed
  for name, board in BOARDS.items():
    assert SearchConfig(board=name).speed() == board.speed
    assert SearchConfig(board=name, max_latency_ms=5.0).budget().latency_ms == 5.0


def test_a_core_without_speed_limits_no_time(tmp_path):
  board = dataclasses.asdict(BOARDS['esp32']) | {'core': 'RISC-V'}
  path = tmp_path / 'own.json'
  path.write_text(json.dumps(board))
  assert SearchConfig(board=str(path)).speed() is None
  with pytest.raises(ValueError, match=r"a core 'RISC-V', .* must be one of Cortex-M0\+") as caught:
    SearchConfig(board=str(path), max_latency_ms=5.0).check()
  assert all(core in str(caught.value) for core in CORES)


def test_the_budget_is_that_of_the_operators_in_the_space():
  pill = SearchConfig(dataset='digits', board='bluepill-f103c8', space='multibranch')
  board, kinds = BOARDS['bluepill-f103c8'], ('CONCATENATION', 'CONV_2D', 'FULLY_CONNECTED', 'MEAN')
  assert set_up(pill).budget == board.budget_for((*kinds, 'MAX_POOL_2D'))
  with pytest.raises(ValueError, match='board bluepill-f103c8: no room beside the runtime'):
    set_up(dataclasses.replace(pill, space='recurrent'))
  given = dataclasses.replace(pill, space='recurrent', flash_kib=4.0)
  assert set_up(given).budget.flash_bytes == 4096


def test_the_build_is_that_of_the_board_unless_it_is_given():
  assert SearchConfig(board='nucleo-l010rb').target_build().name == 'm0-ref-release'
  assert SearchConfig(board='arduino-nano-33-ble').target_build().name == 'm4-cmsis-arduino'
  given = SearchConfig(board='arduino-nano-33-ble', tflm_build='m4-ard2023')
  assert given.target_build().name == 'm4-ard2023'
  with pytest.raises(ValueError, match="tflm_build='m5': must be one of host"):
    SearchConfig(tflm_build='m5').check()


def test_options_are_recorded_as_values_whatever_their_order():
  first = recorded(reward_options('absolute', ['beta=-0.1', 'beta=-0.5']))
  assert first == recorded(reward_options('absolute', ['beta=-0.5'])) == '{"beta": -0.5}'
  assert first != recorded(reward_options('absolute', ['beta=-0.5', 'beta=-0.1']))
  spaced = recorded(space_options('chain', ['filters=8, 16']))
  assert recorded_options('space', 'chain', spaced) == {'filters': (8, 16)}
  assert recorded_options('space', 'chain', 'filters=8,16 max_depth=3') == {
    'filters': (8, 16),
    'max_depth': 3,
  }
  assert recorded({}) == ''


def test_limits_and_times_survive_their_text():
  assert SearchConfig(max_mmacs=4.1).budget().macs == 4_100_000
  config = SearchConfig(minutes=1 / 3, sram_kib=7.25, finish=FinishConfig(learning_rate=0.1 + 0.2))
  words = shlex.split(command(config).replace('\\\n', ' '))
  assert '--sram_kib=7.25' in words
  assert from_flags(*words[2:]) == config


def test_what_else_decides_a_search_is_in_its_journal():
  small = SearchConfig(dataset='digits', board='esp32', flash_kib=100.0, sram_kib=50.0)
  one = journal_configuration(set_up(small))
  other = journal_configuration(set_up(dataclasses.replace(small, board='arduino-nano-33-ble')))
  assert (one['speed'], other['speed']) == (
    'Xtensa LX6 at 240 MHz, esp32',
    'arduino-nano-33-ble, Cortex-M4 at 64 MHz, m4-cmsis-arduino',
  )
  assert one['classes'] == 10


def test_a_stage_of_less_than_a_batch_is_refused():
  with pytest.raises(ValueError, match='fidelity=32x1,allx1: a stage needs at least 64 examples'):
    set_up(SearchConfig(dataset='digits', fidelity='32x1,allx1'))


@pytest.mark.parametrize('options', ['{"gone": 1}', 'gone=1', '{', '{"filters": 3}'])
def test_a_space_whose_options_are_gone_is_not_known(options):
  assert space_of({'space': 'chain', 'space_options': options}) is None


def small_and_quick(measurement, budget):
  """Reads every figure that a measurement has on a board whose speed is known."""
  del budget
  accuracy = measurement.int8_validation_accuracy or 0.0
  return accuracy - math.log(measurement.parameters * measurement.macs * measurement.latency_ms)


def test_a_reward_is_tried_on_the_figures_that_measurements_have(tmp_path):
  reward = f'{__name__}:small_and_quick'
  built = build_reward(SearchConfig(board='esp32', reward=reward))
  assert built is small_and_quick
  path = tmp_path / 'own.json'  # without the speed of its core
  path.write_text(json.dumps(dataclasses.asdict(BOARDS['esp32']) | {'core': 'RISC-V'}))
  with pytest.raises(ValueError, match='small_and_quick'):
    build_reward(SearchConfig(board=str(path), reward=reward))


def test_folders_may_begin_with_the_home_folder(tmp_path, monkeypatch):
  # A shell does not expand the '~' of --workdir=~/runs; a folder named '~' would be made.
  monkeypatch.setenv('HOME', str(tmp_path))
  config = from_flags('--workdir=~/runs', '--cache_dir=~/cache')
  assert (config.workdir, config.cache_dir) == (f'{tmp_path}/runs', f'{tmp_path}/cache')
  assert from_flags('--workdir=~nobody-at-all/runs').workdir == '~nobody-at-all/runs'
