"""The arena of builds of TFLite Micro, against readings of chips."""

import itertools
import json
import pathlib
import pickle

import pytest

from rlnas.cost.arena import Contents, Excess, KernelShape, scratch_areas
from rlnas.cost.arena_head import Buffer
from rlnas.cost.builds import BUILDS, HOST, builds_for, find_build

KEYWORDS = [
  KernelShape('CONV_2D', (10, 4, 1), 64, 64, 3),
  *(
    [
      KernelShape('DEPTHWISE_CONV_2D', (3, 3, 64), 64, 64, 3),
      KernelShape('CONV_2D', (1, 1, 64), 64, 64, 3),
    ]
    * 4
  ),
  KernelShape('AVERAGE_POOL_2D', (), 64),
  KernelShape('RESHAPE', (), 64, 0, 2),
  KernelShape('FULLY_CONNECTED', (), 12, 0, 3),
  KernelShape('SOFTMAX', (), 12),
]
ANOMALIES = [KernelShape('FULLY_CONNECTED', (), 128, 0, 3)] * 10

# What six networks keep in the arena, and for each build of TFLite Micro on an emulated Cortex-M
# (QEMU, newlib-nano) the bytes in use after AllocateTensors and the smallest arena, in steps of 4
# bytes, with which it succeeds. Written by experiments/benchmarks/check_chip.py.
READ = json.loads((pathlib.Path(__file__).parent / 'readings.json').read_text())
READINGS = [
  (name, build, *sizes)
  for name, found in READ.items()
  for build, sizes in found['readings'].items()
]


def contents_of(found):
  operators = [
    KernelShape(
      kind,
      tuple(kernel),
      channels,
      scales,
      inputs,
      multiplier=multiplier,
      scratch=tuple(scratch),
    )
    for kind, kernel, channels, scales, inputs, multiplier, scratch in found['operators']
  ]
  steps = tuple((index, index + 1) for index in range(len(operators)))
  results = tuple(Buffer(*row) for row in found['results'])
  return Contents(tuple(operators), steps, results, found['tensors'])


@pytest.mark.parametrize(('name', 'build', 'used', 'smallest'), READINGS)
def test_arenas_read_on_emulated_chips(name, build, used, smallest):
  arena = contents_of(READ[name]).arena(find_build(build))
  assert arena.used_bytes == used
  # An arena of a multiple of 16 bytes is at most 12 larger than the smallest multiple of 4.
  assert smallest <= arena.smallest_bytes < smallest + 16


def test_the_readings_are_of_six_networks_and_seven_builds():
  assert len(READINGS) == 6 * 7
  assert {build for _, build, *_ in READINGS} <= {*BUILDS}


def conv(channels, side, depth):
  return KernelShape('CONV_2D', (side, side, depth), channels, channels, 3)


def depthwise(channels):
  return KernelShape('DEPTHWISE_CONV_2D', (3, 3, channels), channels, channels, 3)


ADD = KernelShape('ADD', inputs=2)
# A residual network and a MobileNet of a quarter of the width, from their papers.
IMAGES = [
  *(conv(16, 3, 3), conv(16, 3, 16), conv(16, 3, 16), ADD),
  *(conv(32, 3, 16), conv(32, 3, 32), conv(32, 1, 16), ADD),
  *(conv(64, 3, 32), conv(64, 3, 64), conv(64, 1, 32), ADD),
  KernelShape('AVERAGE_POOL_2D', (), 64),
  KernelShape('RESHAPE', (), 64, 0, 2),
  KernelShape('FULLY_CONNECTED', (), 10, 0, 3),
  KernelShape('SOFTMAX', (), 10),
]
WIDTHS = (8, 16, 32, 32, 64, 64, *[128] * 6, 256, 256)
PERSONS = [
  depthwise(8),  # the converter's form of a convolution of one channel
  *(w for a, b in itertools.pairwise(WIDTHS) for w in (depthwise(a), conv(b, 1, a))),
  KernelShape('AVERAGE_POOL_2D', (), 256),
  conv(2, 1, 256),
  KernelShape('RESHAPE', (), 2, 0, 2),
  KernelShape('SOFTMAX', (), 2),
]
# Of MLPerf Tiny: number of tensors.
NETWORKS = {
  'keywords': (35, KEYWORDS),
  'anomalies': (31, ANOMALIES),
  'images': (38, IMAGES),
  'persons': (89, PERSONS),
}


# Readings, arena_used_bytes of github.com/avionicharshit-byte/mcufit-bench. The head is that
# of the activations, and scratch: 1,152 bytes of a depthwise convolution, 576 of a convolution.
@pytest.mark.parametrize(
  ('model', 'build', 'head', 'reading'),
  [
    ('keywords', 'esp32', 16_000, 22_780),
    ('keywords', 'm4-ard2023', 17_152, 24_164),
    ('anomalies', 'esp32', 768, 2_380),
    ('anomalies', 'm4-ard2023', 768, 2_596),
    ('images', 'esp32', 3 * 16_384, 54_364),
    ('images', 'm4-ard2023', 3 * 16_384 + 576, 55_188),
    ('persons', 'esp32', 48 * 48 * (8 + 16), 82_300),
    ('persons', 'm4-ard2023', 48 * 48 * (8 + 16), 82_740),
  ],
)
def test_arenas_that_boards_read(model, build, head, reading):
  tensors, work = NETWORKS[model]
  assert head + Contents(tuple(work), (), (), tensors).arena(BUILDS[build]).tail_bytes == reading


def test_what_this_machine_took_beyond_the_prediction_counts_in_full():
  contents = contents_of(READ['chain_l010'])
  plain = contents.arena(BUILDS['m3-ref'])
  found = contents.arena(BUILDS['m3-ref'], Excess(head_bytes=32, tail_bytes=800))
  assert found.head_bytes == plain.head_bytes + 32
  assert found.tail_bytes == plain.tail_bytes + 800
  assert found.smallest_bytes == plain.smallest_bytes + 832


def test_scratch_of_cmsis_nn():
  def asked(kind, kernel, channels, build='m4-cmsis', **more):
    return sum(scratch_areas(KernelShape(kind, kernel, channels, **more), BUILDS[build]))

  assert asked('CONV_2D', (3, 3, 5), 8) == 4 * 48  # two columns of 45, in 16 bits, by fours
  assert asked('CONV_2D', (1, 1, 64), 8) == 0
  assert asked('CONV_2D', (1, 5, 1), 8) == 4 * 8
  assert asked('DEPTHWISE_CONV_2D', (3, 3, 64), 64) == 0
  assert asked('DEPTHWISE_CONV_2D', (3, 3, 64), 64, 'm4-ard2023') == 2 * 9 * 64
  assert asked('DEPTHWISE_CONV_2D', (5, 5, 64), 64) == 2 * 25 * 64
  assert asked('DEPTHWISE_CONV_2D', (5, 5, 64), 64, multiplier=2) == 0
  assert asked('DEPTHWISE_CONV_2D', (5, 5, 64), 64, is_dilated=True) == 0
  assert asked('AVERAGE_POOL_2D', (), 64) == 256
  assert asked('MEAN', (), 64, scratch=(16, 8, 256)) == 16 + 8 + 256
  assert asked('MEAN', (), 64, 'm4-ard2023', scratch=(16, 8, 256)) == 256
  assert asked('DEPTHWISE_CONV_2D', (5, 5, 64), 64, 'm3-ref') == 0
  assert asked('SOFTMAX', (), 10, 'esp32') == 40


def test_scratch_lies_in_the_head_while_its_operator_runs():
  work = KernelShape('CONV_2D', (3, 3, 16), 8, 8, 3)
  contents = Contents((work,), ((0, 1),), (Buffer(256, 0, 1), Buffer(64, 0, 1)), 4)
  assert contents.arena(BUILDS['m4-cmsis']).head_bytes == 256 + 64 + 4 * 9 * 16
  assert contents.arena(BUILDS['m3-ref']).head_bytes == 256 + 64


def test_many_small_operators_need_more_while_they_are_loaded():
  work = (KernelShape('LOGISTIC'),) * 100
  results = tuple(Buffer(8, step, step + 1) for step in range(101))
  contents = Contents(work, tuple((i, i + 1) for i in range(100)), results, 101)
  for build in BUILDS.values():
    arena = contents.arena(build)
    assert arena.smallest_bytes > arena.used_bytes + 101 * 40
    assert arena.smallest_bytes % 16 == 0


def test_wide_kernels_need_more_while_they_are_prepared():
  work = (KernelShape('CONV_2D', (1, 1, 4), 4000, 4000, 3),)
  contents = Contents(work, ((0, 1),), (Buffer(4, 0, 1), Buffer(4000, 1, 1)), 5)
  arena = contents.arena(HOST)
  assert arena.smallest_bytes > arena.used_bytes + 16 * 4000 - 4004


def test_static_memory_spares_bytes_of_nodes_and_tensors():
  for name, found in READ.items():
    contents = contents_of(found)
    for core in ('m0-ref', 'm3-ref', 'm4-cmsis', 'm7-cmsis', 'm33-cmsis'):
      lean, full = (contents.arena(BUILDS[core + end]) for end in ('', '-arduino'))
      assert lean.head_bytes == full.head_bytes, name
      spared = 12 * len(found['operators'])
      assert full.tail_bytes - lean.tail_bytes == pytest.approx(spared, abs=96)
      assert lean == contents.arena(BUILDS[f'{core}-release'])


def test_builds_are_found_by_name_and_by_core():
  assert find_build('m4-ard2023').core == 'Cortex-M4'
  with pytest.raises(ValueError, match="build='m5': must be one of host, m0-ref"):
    find_build('m5')
  assert builds_for('Cortex-M33') == ('m33-cmsis-release', 'm33-cmsis', 'm33-cmsis-arduino')
  assert builds_for('Cortex-M7', arduino=True)[0] == 'm7-cmsis-arduino'
  assert builds_for('AVR') == builds_for('Cortex-M3')


def test_a_build_goes_along_to_workers():
  for build in BUILDS.values():
    contents = contents_of(READ['multibranch'])
    sent = pickle.loads(pickle.dumps(build))  # noqa: S301 (made in this line)
    assert sent == build
    assert contents.arena(sent) == contents.arena(build)
