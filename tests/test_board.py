import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.board import BOARDS, Board, find_board, load_board
from rlnas.budget import Budget, Resources

OWN = {
  'name': 'my-board',
  'title': 'My board',
  'core': 'Cortex-M4',
  'clock_hz': 80_000_000,
  'flash_bytes': 262_144,
  'sram_bytes': 65_536,
  'reserved_flash_bytes': 100_000,
  'reserved_sram_bytes': 5_536,
  'source': 'its data sheet',
  'builds': ['m4-cmsis-release', 'm4-ard2023'],
  'application_flash_bytes': 8_192,
}

OWN_BOARD = OWN | {'builds': tuple(OWN['builds'])}


def write(tmp_path, content):
  path = tmp_path / 'own.json'
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return path


def without(key):
  return {k: v for k, v in OWN.items() if k != key}


@pytest.mark.parametrize('value', [0, -1, 1.5, True, None, '64', float('nan')])
@pytest.mark.parametrize('name', ['flash_bytes', 'sram_bytes'])
def test_a_budget_is_made_of_positive_integers(name, value):
  figures = {'flash_bytes': 1, 'sram_bytes': 1, name: value}
  with pytest.raises(ValueError, match=f'{name}={re.escape(repr(value))}: must be a positive'):
    Budget(**figures)


@pytest.mark.parametrize(
  ('flash', 'sram', 'fits'),
  [
    (100, 50, True),
    (1, 1, True),
    (101, 50, False),
    (100, 51, False),
    (None, 50, False),
    (100, None, False),
    (None, None, False),
  ],
)
def test_what_fits_a_budget(flash, sram, fits):
  assert Budget(flash_bytes=100, sram_bytes=50).fits(Resources(flash, sram)) is fits


def test_a_budget_can_be_replaced_in_part():
  budget = dataclasses.replace(BOARDS['nucleo-l010rb'].budget, sram_bytes=9)
  assert budget == Budget(flash_bytes=60_720, sram_bytes=9)
  with pytest.raises(ValueError, match='sram_bytes=0'):
    dataclasses.replace(budget, sram_bytes=0)


def test_the_table_of_boards_is_sane():
  assert len(BOARDS) >= 14
  for name, board in BOARDS.items():
    assert board.name == name
    assert re.fullmatch(r'[a-z0-9]+([-.][a-z0-9]+)*', name), name
    assert board.source, name
    assert 10_000_000 < board.clock_hz <= 1_000_000_000, name
    # Memories are in whole KiB, and no arena passes the 4 MiB that a child is measured with.
    assert board.flash_bytes % 1024 == board.sram_bytes % 1024 == 0, name
    assert board.sram_bytes < 4 * 2**20, name
    assert 0 < board.taken_flash_bytes() < board.flash_bytes, name
    assert 0 < board.reserved_sram_bytes < board.sram_bytes, name
    assert board.budget.flash_bytes + board.taken_flash_bytes() == board.flash_bytes, name
    assert board.budget.sram_bytes + board.reserved_sram_bytes == board.sram_bytes, name


def test_the_table_cannot_be_written():
  with pytest.raises(TypeError):
    BOARDS['nucleo-l010rb'] = BOARDS['esp32']  # type: ignore[index]


def test_the_budget_of_the_default_board():
  board = BOARDS['nucleo-l010rb']
  assert (board.flash_bytes, board.sram_bytes) == (128 * 1024, 20 * 1024)
  assert board.budget == Budget(flash_bytes=60_720, sram_bytes=16 * 1024)


@pytest.mark.parametrize('memory', ['flash', 'sram'])
@pytest.mark.parametrize('more', [0, 1])
def test_a_board_with_nothing_left_has_no_budget(memory, more):
  total = OWN[f'{memory}_bytes']
  board = Board(**OWN_BOARD | {f'reserved_{memory}_bytes': total + more})
  with pytest.raises(ValueError, match=f'my-board: reserved_{memory}_bytes=.* leaves nothing'):
    _ = board.budget


@given(flash=st.integers(2, 2**32), sram=st.integers(2, 2**32), data=st.data())
def test_budget_and_reserve_make_up_the_memory(flash, sram, data):
  board = dataclasses.replace(
    BOARDS['esp32'],
    flash_bytes=flash,
    sram_bytes=sram,
    reserved_flash_bytes=data.draw(st.integers(0, flash - 1)),
    reserved_sram_bytes=data.draw(st.integers(0, sram - 1)),
  )
  assert board.budget.flash_bytes == flash - board.reserved_flash_bytes
  assert board.budget.sram_bytes == sram - board.reserved_sram_bytes


def test_a_board_is_found_by_name_or_path(tmp_path):
  assert find_board('esp32-s3') is BOARDS['esp32-s3']
  path = write(tmp_path, OWN)
  assert find_board(path) == find_board(str(path)) == Board(**OWN_BOARD)
  upper = path.rename(tmp_path / 'OWN.JSON')
  assert find_board(upper).name == 'my-board'


def test_the_path_of_a_board_may_begin_with_the_home_folder(tmp_path, monkeypatch):
  write(tmp_path, OWN)
  monkeypatch.setenv('HOME', str(tmp_path))
  assert find_board('~/own.json') == Board(**OWN_BOARD)


@pytest.mark.parametrize(
  ('name', 'meant'),
  [
    ('nucleo-l010', 'nucleo-l010rb'),
    ('Teensy41', 'teensy-4.1'),
    ('micro:bit v2', 'microbit-v2'),
    ('raspberry-pico', 'raspberry-pi-pico'),
  ],
)
def test_an_unknown_name_gives_the_names_and_what_is_meant(name, meant):
  with pytest.raises(ValueError, match=re.escape(f'board={name!r}: must be')) as caught:
    find_board(name)
  listed, _, guess = str(caught.value).partition('did you mean')
  assert all(board in listed for board in BOARDS)
  assert meant in guess


def test_a_name_like_no_other_gives_the_names_alone():
  with pytest.raises(ValueError, match="board='': must be") as caught:
    find_board('')
  assert 'did you mean' not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'absent\.json'):
    find_board(tmp_path / 'absent.json')


def test_a_board_of_ones_own_round_trips(tmp_path):
  board = load_board(write(tmp_path, OWN))
  assert dataclasses.asdict(board) == OWN_BOARD
  assert board.budget == Budget(flash_bytes=162_144, sram_bytes=60_000)
  for known in BOARDS.values():
    assert load_board(write(tmp_path, dataclasses.asdict(known))) == known


def test_four_keys_are_enough(tmp_path):
  needed = ('name', 'clock_hz', 'flash_bytes', 'sram_bytes')
  path = write(tmp_path, {key: OWN[key] for key in needed})
  board = load_board(path)
  assert (board.title, board.core, board.source) == ('my-board', 'unknown', str(path))
  assert (board.reserved_flash_bytes, board.reserved_sram_bytes) == (None, 4 * 1024)
  assert board.taken_flash_bytes() == BOARDS['bluepill-f103c8'].taken_flash_bytes()


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
  path = tmp_path / 'own.json'
  path.write_bytes(b'\xef\xbb\xbf' + json.dumps(OWN).encode())
  assert load_board(path) == Board(**OWN_BOARD)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('', 'must be JSON'),
    ('{"name": ', 'must be JSON'),
    ('name: own', 'must be JSON'),
    ('[' * 100_000, 'must be JSON'),
    ([OWN], 'must be a JSON object, not a list'),
    ('3', 'must be a JSON object, not a int'),
    ('null', 'must be a JSON object, not a NoneType'),
    ({}, 'name: is missing'),
    (without('name'), 'name: is missing'),
    (without('clock_hz'), 'clock_hz: is missing'),
    (without('flash_bytes'), 'flash_bytes: is missing'),
    (without('sram_bytes'), 'sram_bytes: is missing'),
    (OWN | {'flash_kib': 64}, 'flash_kib=64: unknown key, must be one of name, title'),
    (OWN | {'name': 7}, 'name=7: must be a text'),
    (OWN | {'name': ' '}, "name=' ': must be a text"),
    (OWN | {'source': None}, 'source=None: must be a text'),
    (OWN | {'flash_bytes': '64'}, "flash_bytes='64': must be a positive integer"),
    (OWN | {'flash_bytes': 65536.0}, r'flash_bytes=65536\.0: must be a positive integer'),
    (OWN | {'sram_bytes': True}, 'sram_bytes=True: must be a positive integer'),
    (OWN | {'sram_bytes': -1}, 'sram_bytes=-1: must be a positive integer'),
    (OWN | {'sram_bytes': 0}, 'sram_bytes=0: must be a positive integer'),
    (OWN | {'clock_hz': None}, 'clock_hz=None: must be a positive integer'),
    (OWN | {'clock_hz': float('nan')}, 'clock_hz=nan: must be a positive integer'),
    (OWN | {'clock_hz': float('inf')}, 'clock_hz=inf: must be a positive integer'),
    (OWN | {'sram_bytes': 64}, 'sram_bytes=64: must be bytes, at least 1,024; is it in KiB'),
    (without('reserved_flash_bytes') | {'flash_bytes': 256}, 'flash_bytes=256: must be bytes'),
    (OWN | {'sram_bytes': [1]}, r'sram_bytes=\[1\]: must be a positive integer'),
    (OWN | {'reserved_flash_bytes': -5}, 'reserved_flash_bytes=-5: must be an integer of'),
    (OWN | {'reserved_sram_bytes': 0.5}, r'reserved_sram_bytes=0\.5: must be an integer of'),
    (OWN | {'kernels': 'fast'}, "kernels='fast': must be one of reference, cmsis_nn"),
    (OWN | {'builds': 'm4-cmsis'}, "builds='m4-cmsis': must be a list of names"),
    (OWN | {'builds': ['m4']}, "build='m4': must be one of host"),
    (OWN | {'reserved_sram_bytes': 65_536}, 'reserved_sram_bytes=65536 leaves nothing'),
  ],
)
def test_a_file_that_describes_no_board_is_refused(tmp_path, content, message):
  path = write(tmp_path, content)
  with pytest.raises(ValueError, match=message) as caught:
    load_board(path)
  assert str(caught.value).startswith(f'{path}: ')


def test_bytes_that_are_no_text_are_refused(tmp_path):
  path = tmp_path / 'own.json'
  path.write_bytes(b'\xff\xfe\x00\x80')
  with pytest.raises(ValueError, match='must be JSON'):
    load_board(path)


def test_limits_of_work_and_time_are_optional():
  assert Budget(10, 10).fits(Resources(10, 10))
  assert Budget(10, 10).fits(Resources(10, 10, 10**9, 10**9))
  for limited in (Budget(10, 10, macs=5), Budget(10, 10, latency_ms=5.0)):
    assert not limited.fits(Resources(10, 10))  # unknown
    assert limited.fits(Resources(10, 10, 5, 5.0))
    assert not limited.fits(Resources(10, 10, 6, 5.1))


@pytest.mark.parametrize(
  ('field', 'value'),
  [('macs', 0), ('macs', 1.5), ('latency_ms', 0.0), ('latency_ms', float('nan'))],
)
def test_limits_out_of_range_are_named(field, value):
  with pytest.raises(ValueError, match=f'{field}={value!r}: must be'):
    Budget(10, 10, **{field: value})


def test_unknown_builds_are_refused():
  with pytest.raises(ValueError, match="build='fast': must be one of host, m0-ref"):
    Board(**OWN_BOARD | {'builds': ('fast',)})
  with pytest.raises(ValueError, match=r"builds=\['host'\]: must be a tuple of names"):
    Board(**OWN_BOARD | {'builds': ['host']})


def test_builds_of_an_own_board_default_to_those_of_its_core(tmp_path):
  del (core := dict(OWN))['builds']
  assert load_board(write(tmp_path, core)).builds[0] == 'm4-cmsis-release'
  assert Board(**OWN_BOARD | {'builds': ()}).build.name == 'm4-cmsis-release'
  del core['core']
  assert load_board(write(tmp_path, core)).builds[0] == 'm3-ref-release'


def test_kernels_of_earlier_files_name_builds(tmp_path):
  board = load_board(write(tmp_path, without('builds') | {'kernels': 'reference'}))
  assert board.builds == BOARDS['bluepill-f103c8'].builds


def test_the_default_build_is_that_of_the_boards_tools():
  assert BOARDS['nucleo-l4r5zi'].builds[0] == 'm4-cmsis-release'
  assert BOARDS['arduino-nano-33-ble'].builds[0] == 'm4-cmsis-arduino'
  assert 'm4-ard2023' in BOARDS['arduino-nano-33-ble'].builds
  assert BOARDS['esp32'].builds == ('esp32',)


def test_a_board_without_room_beside_the_runtime_has_no_budget_for_it():
  board = BOARDS['bluepill-f103c8']
  kinds = ('ADD', 'FULLY_CONNECTED', 'LOGISTIC', 'MUL', 'RESHAPE', 'STRIDED_SLICE', 'TANH')
  assert board.room_bytes(kinds) == 0 < board.room_bytes(('CONV_2D', 'FULLY_CONNECTED'))
  with pytest.raises(ValueError, match='bluepill-f103c8: no room beside the runtime'):
    board.budget_for(kinds)


def test_what_is_given_counts_whatever_the_operators():
  board = Board(**OWN_BOARD)
  assert board.room_bytes(()) == board.room_bytes(('TANH', 'SVDF')) == 162_144


def test_kernels_for_other_types_take_more_flash():
  board = BOARDS['nucleo-f446re']
  assert board.room_bytes(is_int8=True) - board.room_bytes(is_int8=False) == 31_000
