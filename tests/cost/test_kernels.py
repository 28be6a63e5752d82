import pytest

from rlnas.cost.kernels import SPEEDS, Work

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

# Multiply-accumulates of convolutions and of depthwise ones, and elements added, from the papers.
CLASSES_OF_IMAGES = [
  Work('CONV_2D', 12_500_992, 0),
  Work('ADD', 0, 28_672),
  Work('AVERAGE_POOL_2D', 0, 0),
  Work('RESHAPE', 0, 0),
  Work('FULLY_CONNECTED', 640, 0),
  Work('SOFTMAX', 0, 0),
]


@pytest.mark.parametrize(
  ('board', 'work', 'reading'),
  [
    ('esp32', KEYWORDS, 162.334),
    ('esp32', ANOMALIES, 49.290),
    ('esp32', CLASSES_OF_IMAGES, 724.457),
    ('arduino-nano-33-ble', KEYWORDS, 224.553),
    ('arduino-nano-33-ble', ANOMALIES, 22.025),
    ('arduino-nano-33-ble', CLASSES_OF_IMAGES, 1241.774),
  ],
)
def test_inferences_that_boards_read(board, work, reading):
  speed = SPEEDS[board]
  assert speed.latency_ms(work) == pytest.approx(reading, rel=speed.error)
  assert speed.error_of(work) == speed.error


def test_operators_without_a_reading_take_the_time_of_addition():
  speed = SPEEDS['arduino-nano-33-ble']
  one, two = speed.latency_ms([Work('TANH', 0, 1000)]), speed.latency_ms([Work('ADD', 0, 2000)])
  assert two == pytest.approx(2 * one)
  assert one == pytest.approx(1e3 * 1000 / (0.0083 * 64e6))
  assert speed.error_of([Work('TANH', 0, 1000)]) == pytest.approx(1)
  half = [Work('TANH', 0, 1000), Work('ADD', 0, 1000)]
  assert speed.error_of(half) == pytest.approx((1 + speed.error) / 2)
