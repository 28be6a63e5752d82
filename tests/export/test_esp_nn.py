"""The scratch memory of ESP-NN on an ESP32-S3, by hand from its formulas."""

import dataclasses

import pytest

from rlnas.cost.builds import BUILDS
from rlnas.cost.terms import Window
from rlnas.export.deployment import inspect, reserve
from rlnas.export.esp_nn import scratch_bytes
from rlnas.spaces import NASNet
from rlnas.tflite.model_file import Operator, Tensor
from tests.export.test_bundle import network


def asked(kind, entry, kernel, result, **window):
  """The scratch memory of an operator with these shapes, without the batch."""
  shapes = ((1, *entry), kernel, (1, *result))
  tensors = [Tensor('', shape, 'INT8', (), (), 0, 0, False, None) for shape in shapes]
  moves = {f'stride_{side}': window.get('stride', 1) for side in ('height', 'width')}
  return scratch_bytes(Operator(kind, (0, 1), (2,), window=Window(**moves)), tensors)


@pytest.mark.parametrize(
  ('entry', 'kernel', 'result', 'stride', 'expected'),
  [
    # 1x1: the filter and 16 bytes a channel, or the newer 24 a channel and 8 a result.
    ((10, 10, 8), (16, 1, 1, 8), (10, 10, 16), 1, 24 * 8 + 8 * 16 + 64),
    ((4, 4, 48), (48, 1, 1, 48), (4, 4, 48), 1, 48 * 48 + 16 * 48 + 64),
    # Channels that are no multiple of 8 are padded, in the input, too.
    ((14, 14, 6), (12, 1, 1, 6), (14, 14, 12), 1, 14 * 14 * 8 + 8 * 12 + 16 * 8 + 64),
    # A filter of more than 24 KB.
    ((7, 7, 160), (160, 1, 1, 160), (7, 7, 160), 1, 160 * 160 + 16 * 160 + 64),
    # 5x5 of 28x28: 1 padded in front; copies of input, filter by channels and filter by rows.
    (
      *((28, 28, 1), (16, 5, 5, 1), (14, 14, 16), 2),
      25 * 16 * 16 + 5 * 16 * 16 + 4 * 16 + 64 + 30 * 30 + 32 * 32,
    ),
    # 3x3 of 16 channels: 16 windows at a time and the work area for them.
    ((8, 8, 16), (16, 3, 3, 16), (8, 8, 16), 1, 40 * 144 + 16 * 1024 + 96),
  ],
)
def test_a_convolution_asks_for_what_the_largest_release_does(
  entry, kernel, result, stride, expected
):
  assert asked('CONV_2D', entry, kernel, result, stride=stride) == expected


@pytest.mark.parametrize(
  ('entry', 'kernel', 'result', 'stride', 'expected'),
  [
    # 3x3 of 16 channels: filter and padded input.
    ((14, 14, 16), (1, 3, 3, 16), (14, 14, 16), 1, 9 * 16 + 16 * 16 * 16 + 32),
    # The same, larger than 40 KB padded: a strip.
    ((80, 80, 16), (1, 3, 3, 16), (80, 80, 16), 1, 9 * 16 + 40 * 1024 + 32),
    # Other sizes as int16.
    ((7, 7, 8), (1, 5, 5, 8), (7, 7, 8), 1, 2 * (25 * 8 + 49 * 8) + 32),
    # 4 results for each of 2 channels, as int16, too.
    ((5, 5, 2), (1, 3, 3, 8), (5, 5, 8), 1, 2 * (9 * 8 + 25 * 2) + 32),
  ],
)
def test_a_depthwise_convolution_too(entry, kernel, result, stride, expected):
  assert asked('DEPTHWISE_CONV_2D', entry, kernel, result, stride=stride) == expected


def test_other_operators_ask_for_nothing():
  assert asked('ADD', (5, 5, 2), (1, 5, 5, 2), (5, 5, 2)) == 0


@pytest.mark.slow
def test_the_arena_holds_the_largest_area_beside_what_lives_then():
  info = inspect(network(NASNet(), shape=(28, 28, 1)))
  room, plain = reserve(info), info.report.arena(BUILDS['esp32'])
  before, after = (c.operators for c in (info.report.contents, info.with_esp_nn))
  extra = [sum(b.scratch) - sum(a.scratch) for a, b in zip(before, after, strict=True)]
  assert max(extra) > 1000
  assert plain.smallest_bytes < room.esp32s3_bytes <= plain.smallest_bytes + max(extra) + 1024
  assert reserve(info, [BUILDS['esp32s3']]).total_bytes == room.esp32s3_total_bytes
  assert room.esp32s3_bytes >= max(extra) + plain.tail_bytes
  assert dataclasses.replace(info.with_esp_nn, operators=before) == info.report.contents
