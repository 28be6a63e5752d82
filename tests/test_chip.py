import pytest

from rlnas.chip import KERNELS, SPEEDS, Structures, Work, chip_tail_bytes, scratch_bytes

# MLPerf Tiny: (tail, structures, operators) as recorded on a 64-bit machine, its head, and what
# boards read (arena_used_bytes of github.com/avionicharshit-byte/mcufit-bench).
KEYWORDS = (
  8272,
  Structures(35, 2, 4, 13),
  [
    'CONV_2D',
    *(['DEPTHWISE_CONV_2D', 'CONV_2D'] * 4),
    *('AVERAGE_POOL_2D', 'RESHAPE', 'FULLY_CONNECTED', 'SOFTMAX'),
  ],
)
ANOMALIES = (3216, Structures(31, 2, 4, 10), ['FULLY_CONNECTED'] * 10)


@pytest.mark.parametrize(
  ('model', 'kernels', 'head', 'reading'),
  [
    (KEYWORDS, 'esp_nn', 16_000, 22_780),
    (KEYWORDS, 'cmsis_nn', 17_152, 24_164),
    (ANOMALIES, 'esp_nn', 768, 2_380),
    (ANOMALIES, 'cmsis_nn', 768, 2_596),
  ],
)
def test_arenas_that_boards_read(model, kernels, head, reading):
  tail, structures, operators = model
  foretold = head + chip_tail_bytes(tail, structures, operators, kernels=kernels)
  assert reading <= foretold <= reading + max(256, 0.02 * reading)


def test_scratch_of_cmsis_nn():
  depthwise = Work('DEPTHWISE_CONV_2D', 72_000, 8_000, (3, 3, 64), 64)
  assert scratch_bytes(depthwise, kernels='cmsis_nn') == 2 * 9 * 64
  assert scratch_bytes(Work('CONV_2D', 0, 0, (3, 3, 5), 8), kernels='cmsis_nn') == 4 * 48
  assert scratch_bytes(Work('CONV_2D', 0, 0, (1, 1, 64), 8), kernels='cmsis_nn') == 0
  assert scratch_bytes(Work('AVERAGE_POOL_2D', 0, 0, (), 64), kernels='cmsis_nn') == 256
  assert scratch_bytes(depthwise, kernels='esp_nn') == 0


def test_unknown_kernels_are_refused():
  with pytest.raises(ValueError, match="kernels='cmsis': must be one of reference"):
    chip_tail_bytes(1000, Structures(1, 1, 1, 1), [], kernels='cmsis')
  with pytest.raises(ValueError, match='must be one of'):
    scratch_bytes(Work('ADD', 0, 1), kernels='')
  assert 'reference' in KERNELS


# Multiply-accumulates by operator, and milliseconds that an ESP32 read for the whole network.
@pytest.mark.parametrize(
  ('work', 'reading'),
  [
    (
      [
        Work('CONV_2D', 2_368_000, 8_000),
        Work('DEPTHWISE_CONV_2D', 288_000, 8_000),
        Work('AVERAGE_POOL_2D', 0, 8_000),
        Work('RESHAPE', 0, 64),
        Work('FULLY_CONNECTED', 768, 64),
        Work('SOFTMAX', 0, 12),
      ],
      162.211,
    ),
    ([Work('FULLY_CONNECTED', 264_192, 640)], 49.059),
  ],
)
def test_inferences_that_a_board_read(work, reading):
  speed = SPEEDS['esp32']
  assert speed.latency_ms(work) == pytest.approx(reading, rel=speed.error)


def test_operators_without_a_reading_take_the_time_of_addition():
  speed = SPEEDS['arduino-nano-33-ble']
  one, two = speed.latency_ms([Work('TANH', 0, 1000)]), speed.latency_ms([Work('ADD', 0, 2000)])
  assert two == pytest.approx(2 * one)
  assert one == pytest.approx(1e3 * 1000 / (0.0083 * 64e6))
