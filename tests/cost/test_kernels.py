import dataclasses
import itertools

import pytest

from rlnas.cost.builds import BUILDS
from rlnas.cost.kernels import Counted, Work, chip_tail_bytes, scratch_bytes

KEYWORDS = [
  Work('CONV_2D', 320_000, 8_000, (10, 4, 1), 64, 64, 3),
  *(
    [
      Work('DEPTHWISE_CONV_2D', 72_000, 8_000, (3, 3, 64), 64, 64, 3),
      Work('CONV_2D', 512_000, 8_000, (1, 1, 64), 64, 64, 3),
    ]
    * 4
  ),
  Work('AVERAGE_POOL_2D', 0, 8_000, (), 64),
  Work('RESHAPE', 0, 64, (), 64, 0, 2),
  Work('FULLY_CONNECTED', 768, 64, (), 12, 0, 3),
  Work('SOFTMAX', 0, 12, (), 12),
]
ANOMALIES = [Work('FULLY_CONNECTED', 26_419, 640, (), 128, 0, 3)] * 10


def conv(channels, side, depth):
  return Work('CONV_2D', 0, 0, (side, side, depth), channels, channels, 3)


def depthwise(channels):
  return Work('DEPTHWISE_CONV_2D', 0, 0, (3, 3, channels), channels, channels, 3)


ADD = Work('ADD', 0, 0, inputs=2)
# A residual network and a MobileNet of a quarter of the width, from their papers.
IMAGES = [
  *(conv(16, 3, 3), conv(16, 3, 16), conv(16, 3, 16), ADD),
  *(conv(32, 3, 16), conv(32, 3, 32), conv(32, 1, 16), ADD),
  *(conv(64, 3, 32), conv(64, 3, 64), conv(64, 1, 32), ADD),
  Work('AVERAGE_POOL_2D', 0, 0, (), 64),
  Work('RESHAPE', 0, 0, (), 64, 0, 2),
  Work('FULLY_CONNECTED', 0, 0, (), 10, 0, 3),
  Work('SOFTMAX', 0, 0, (), 10),
]
WIDTHS = (8, 16, 32, 32, 64, 64, *[128] * 6, 256, 256)
PERSONS = [
  depthwise(8),  # the converter's form of a convolution of one channel
  *(w for a, b in itertools.pairwise(WIDTHS) for w in (depthwise(a), conv(b, 1, a))),
  Work('AVERAGE_POOL_2D', 0, 0, (), 256),
  conv(2, 1, 256),
  Work('RESHAPE', 0, 0, (), 2, 0, 2),
  Work('SOFTMAX', 0, 0, (), 2),
]
# Of MLPerf Tiny: the tail and its structures as recorded on a 64-bit machine; 0 where only the
# structures are known.
RECORDED = {
  'keywords': (8272, Counted(35, 2, 4, 13), KEYWORDS),
  'anomalies': (3216, Counted(31, 2, 4, 10), ANOMALIES),
  'images': (0, Counted(38, 2, 4, 16), IMAGES),
  'persons': (0, Counted(89, 2, 4, 31), PERSONS),
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
  tail, structures, work = RECORDED[model]
  assert head + chip_tail_bytes(tail, structures, work, build=BUILDS[build]) == reading


def test_what_is_not_known_counts_in_full():
  tail, structures, work = RECORDED['keywords']
  strange = [*work, Work('SVDF', 0, 64)]
  more = dataclasses.replace(structures, nodes=14)
  plain = chip_tail_bytes(tail, structures, work, build=BUILDS['esp32'])
  node, data = 64, 800
  found = chip_tail_bytes(tail + node + data, more, strange, build=BUILDS['esp32'])
  assert found == plain + node // 2 + data


def test_scratch_of_cmsis_nn():
  depthwise = Work('DEPTHWISE_CONV_2D', 72_000, 8_000, (3, 3, 64), 64)
  assert scratch_bytes(depthwise, build=BUILDS['m4-ard2023']) == 2 * 9 * 64
  assert scratch_bytes(Work('CONV_2D', 0, 0, (3, 3, 5), 8), build=BUILDS['m4-ard2023']) == 4 * 48
  assert scratch_bytes(Work('CONV_2D', 0, 0, (1, 1, 64), 8), build=BUILDS['m4-ard2023']) == 0
  assert scratch_bytes(Work('AVERAGE_POOL_2D', 0, 0, (), 64), build=BUILDS['m4-ard2023']) == 256
  assert scratch_bytes(depthwise, build=BUILDS['esp32']) == 0
