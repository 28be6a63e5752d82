"""Instructions against counts of an emulated Cortex-M, and times against boards that were read."""

import json
import pathlib

import numpy as np
import pytest

from rlnas.board import BOARDS
from rlnas.cost.builds import BUILDS
from rlnas.cost.instructions import COUNTED, Range, count_instructions, weights_of
from rlnas.cost.speed import CORES, Speed
from rlnas.cost.terms import CASES, TERMS, Values, Window, no_work
from rlnas.cost.workload import add_work
from tests.cost import mlperf
from tests.experiments import script

READINGS = pathlib.Path(__file__).with_name('chip_operators.json')
OPERATORS = json.loads(READINGS.read_text())['operators']
MODELS = sorted({model for model, *_ in OPERATORS})


def workload(model):
  load = no_work()
  for other, case, terms, _ in OPERATORS:
    if other == model:
      for term, value in terms.items():
        load[CASES.index(case), TERMS.index(term)] += value
  return load


@pytest.mark.parametrize('model', MODELS)
@pytest.mark.parametrize('build', ['m3-ref', 'm4-cmsis', 'm4-ard2023'])
def test_counts_of_an_emulated_chip(model, build):
  low, middle, high = count_instructions(workload(model), build)
  counted = sum(count[build] for other, _, _, count in OPERATORS if other == model)
  assert middle == pytest.approx(counted, rel=0.015)
  assert low < counted < high


def test_counts_of_a_model_that_was_left_out():
  done = script.run('benchmarks/fit_instructions.py', f'--readings={READINGS}')
  assert done.code == 0, done.stderr
  rows = dict(line.strip('| ').split(' | ', 1) for line in done.stdout.splitlines() if '%' in line)
  assert sorted(rows) == MODELS
  for model, row in rows.items():
    for cell in row.split(' | '):
      error, _, share = cell.partition('% of ')
      assert abs(float(error.strip('%'))) <= 3, (model, row)
      # The kernels of a recurrent network are in no other model.
      assert float(share.strip('%') or 100) >= (20 if model == 'recurrent' else 99)


def test_the_tables_are_those_that_the_script_prints():
  done = script.run('benchmarks/fit_instructions.py', f'--readings={READINGS}')
  for build in ('m3-ref', 'm4-cmsis', 'm4-ard2023'):
    table = weights_of(build)[1]
    for row, case in enumerate(CASES):
      values = {t: table[row, i] for i, t in enumerate(TERMS) if table[row, i]}
      if any(case == read for _, read, _, _ in OPERATORS):
        printed = [line for line in done.stdout.splitlines() if line.startswith(f'  {case!r}: ')]
        found = [
          json.loads(line.split(': ', 1)[1].rstrip(',').replace("'", '"')) for line in printed
        ]
        assert values in [pytest.approx(one) for one in found], (build, case)


@pytest.mark.parametrize('board', mlperf.READ)
@pytest.mark.parametrize('network', mlperf.NETWORKS)
def test_times_that_boards_read(board, network):
  low, middle, high = BOARDS[board].speed.latency(mlperf.NETWORKS[network]())
  read = mlperf.READ[board][network]
  assert middle == pytest.approx(read, rel=0.05)
  assert low < read < high


def test_published_times_lie_in_the_range_of_any_cortex_m4_at_that_clock():
  for board in ('arduino-nano-33-ble', 'nucleo-l4r5zi'):
    for build in ('m4-cmsis', 'm4-ard2023'):
      speed = Speed('Cortex-M4', BOARDS[board].clock_hz, build)
      for network, read in mlperf.READ[board].items():
        low, _, high = speed.latency(mlperf.NETWORKS[network]())
        assert low < read < 1.2 * high, (board, build, network)  # of the library of 2021


@pytest.mark.parametrize('name', [*COUNTED, 'esp32', 'esp32s3'])
def test_more_products_take_longer(name):
  build = BUILDS[name]
  speed, before = Speed(build.core, 10**8, name), (0.0, 0.0, 0.0)
  for filters in (8, 16, 24, 32, 48):
    load = no_work()
    x = mlperf.conv(load, mlperf.depthwise(load, (14, 14, 16), 1), filters, (3, 3), 1)
    mlperf.dense(load, mlperf.pool(load, x), 10)
    found = speed.latency(load)
    assert all(one > other for one, other in zip(found, before, strict=True))
    assert found.low < found.middle < found.high
    before = found


def test_a_release_takes_less_and_a_smaller_core_more():
  load = mlperf.images()
  checked, release, small = (
    count_instructions(load, build) for build in ('m3-ref', 'm3-ref-release', 'm0-ref-release')
  )
  assert release.middle < checked.middle
  assert release.middle < small.middle
  assert small.high / small.low > release.high / release.low > checked.high / checked.low
  assert count_instructions(load, 'host') is count_instructions(load, 'esp32') is None


def test_what_was_not_read_has_a_wide_range():
  for case, factor in (('PAD', 3), ('other', 10), ('not int8', 10)):
    load = no_work()
    load[CASES.index(case), TERMS.index('results')] = 1000
    low, middle, high = count_instructions(load, 'm4-cmsis')
    assert (middle / low, high / middle) == pytest.approx((factor, factor))


def test_every_board_has_a_speed():
  for board in BOARDS.values():
    assert board.core in CORES
    assert board.speed.latency(mlperf.keywords()).low > 0


def test_an_unknown_core_has_none():
  with pytest.raises(ValueError, match="core='8051': its speed is not known; must be Cortex-M0"):
    Speed('8051', 10**6, 'm3-ref')


def test_a_range_is_told_with_three_digits():
  assert str(Range(1234.5, 12345.6, 0.01234)) == '12,300 (1,230 to 0.0123)'


@pytest.mark.parametrize('is_same', [True, False])
@pytest.mark.parametrize('sizes', [(5, 3, 1, 1), (3, 3, 2, 1), (4, 2, 3, 1), (3, 5, 1, 2)])
def test_terms_of_a_convolution_are_those_of_its_loops(sizes, is_same):
  height, width, stride, dilation = sizes
  map_height, map_width, depth, filters = 11, 12, 3, 5
  spans = [(k - 1) * dilation + 1 for k in (height, width)]
  sides = (map_height, map_width)
  if is_same:
    after = [-(-n // stride) for n in sides]
    pads = [
      max(0, (o - 1) * stride + s - n) // 2 for o, s, n in zip(after, spans, sides, strict=True)
    ]
  else:
    after, pads = [(n - s) // stride + 1 for n, s in zip(sides, spans, strict=True)], [0, 0]
  inside = 0
  for y, x, i, j in np.ndindex(after[0], after[1], height, width):
    at = y * stride - pads[0] + i * dilation, x * stride - pads[1] + j * dilation
    inside += 0 <= at[0] < map_height and 0 <= at[1] < map_width
  load = no_work()
  values = Values(*after, filters, map_height, map_width, depth, map_height * map_width * depth, 1)
  window = Window(height, width, stride, stride, dilation, dilation, is_same)
  places = after[0] * after[1]
  products = places * filters * height * width * depth
  add_work(load, CASES.index('CONV_2D'), values, window, products, 2.0)
  found = dict(zip(TERMS, load[CASES.index('CONV_2D')] / 2, strict=True))
  assert found['products'] == products
  assert found['inside'] == inside * filters
  assert found['inner'] == inside * filters * depth
  assert found['columns'] == places * height * width * depth
  assert (found['results'], found['rows']) == (places * filters, places * filters * height)
  assert load.sum() == load[CASES.index('CONV_2D')].sum()
