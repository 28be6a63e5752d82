"""Boards and their budgets: the memory that a microcontroller leaves for the model.

A model takes two things of a chip: flash for the .tflite file, and SRAM for the tensor arena, which
is one array. The TFLite Micro runtime and the application share both memories, so a board's budget
is its memory minus what those two reserve. The flash of the runtime depends on the build and on the
operators (`rlnas.cost.firmware`), so a budget is one for these operators. `BOARDS` is a table of
public figures with a source for each board. You can describe your own board in a JSON file
(`load_board`).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import pathlib
import types
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from rlnas.budget import Budget
from rlnas.cost.builds import Build, builds_for, find_build
from rlnas.cost.firmware import DEFAULT_KINDS, bundle_bytes, firmware_bytes
from rlnas.cost.speed import CORES, READ_BOARDS, Speed

_KIB = 1024
_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Board:
  """A microcontroller board.

  Attributes:
    name: short name for commands, such as 'nucleo-f446re'.
    title: full name for reports.
    core: the processor core that runs the model.
    clock_hz: highest clock rate of that core.
    flash_bytes: memory for programs and constants, on the chip or beside it.
    sram_bytes: largest piece of on-chip SRAM that can hold one array: the arena cannot be split
      over memory banks, and external RAM is not counted.
    reserved_flash_bytes: flash that the runtime and the application take; None if that of the
      runtime is estimated by its operators.
    reserved_sram_bytes: SRAM that the application takes: stack, heap, drivers and application.
    source: source of the figures.
    builds: names of the builds of TFLite Micro that the board may have, from
      `rlnas.cost.builds.BUILDS`. The first is the default, whose arena the budget limits. If none
      is given, they follow from the core.
    application_flash_bytes: flash that the application takes; it counts if `reserved_flash_bytes`
      is None.

  Raises:
    ValueError: a figure is not an integer in its range, or a text is empty.
  """

  name: str
  title: str
  core: str
  clock_hz: int
  flash_bytes: int
  sram_bytes: int
  reserved_flash_bytes: int | None
  reserved_sram_bytes: int
  source: str
  builds: tuple[str, ...] = ()
  application_flash_bytes: int = 0

  def __post_init__(self) -> None:
    for name in ('name', 'title', 'core', 'source'):
      value = getattr(self, name)
      if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{name}={value!r}: must be a text that is not empty')
    for name in ('clock_hz', 'flash_bytes', 'sram_bytes'):
      value = getattr(self, name)
      if not _is_integer(value) or value < 1:
        raise ValueError(f'{name}={value!r}: must be a positive integer')
    for name in ('reserved_flash_bytes', 'reserved_sram_bytes', 'application_flash_bytes'):
      value = getattr(self, name)
      if value is None and name == 'reserved_flash_bytes':
        continue
      if not _is_integer(value) or value < 0:
        raise ValueError(f'{name}={value!r}: must be an integer of at least 0')
    if not isinstance(self.builds, tuple):
      raise ValueError(f'builds={self.builds!r}: must be a tuple of names')
    for build in self.builds:
      find_build(build)
    object.__setattr__(self, 'builds', self.builds or builds_for(self.core))

  @property
  def build(self) -> Build:
    """The build of TFLite Micro that the board has by default."""
    return find_build(self.builds[0])

  def taken_flash_bytes(
    self, kinds: Collection[str] = DEFAULT_KINDS, *, is_int8: bool = True
  ) -> int:
    """Flash that runtime and application take, in bytes.

    Args:
      kinds: the kinds of operators that the runtime registers.
      is_int8: whether kernels for int8 values are enough.
    """
    if self.reserved_flash_bytes is not None:
      return self.reserved_flash_bytes
    taken = bundle_bytes if is_int8 else firmware_bytes
    # The build of this machine is not a firmware, so the next one counts.
    sizes = (size for name in self.builds if (size := taken(kinds, name)) is not None)
    return self.application_flash_bytes + next(sizes, 0)

  def room_bytes(self, kinds: Collection[str] = DEFAULT_KINDS, *, is_int8: bool = True) -> int:
    """Flash that runtime and application leave for the model, in bytes; 0 if they leave none.

    Args:
      kinds: the kinds of operators that the runtime registers.
      is_int8: whether kernels for int8 values are enough.
    """
    return max(0, self.flash_bytes - self.taken_flash_bytes(kinds, is_int8=is_int8))

  def budget_for(self, kinds: Collection[str]) -> Budget:
    """The budget that runtime and application leave for a model with these kinds of operators.

    Raises:
      ValueError: they leave nothing.
    """
    if self.reserved_sram_bytes >= self.sram_bytes:
      raise ValueError(
        f'board {self.name}: reserved_sram_bytes={self.reserved_sram_bytes} leaves nothing of '
        f'sram_bytes={self.sram_bytes} for the model'
      )
    if not self.room_bytes(kinds):
      reserved = f'reserved_flash_bytes={self.reserved_flash_bytes} leaves'
      if self.reserved_flash_bytes is None:
        reserved = (
          f'no room beside the runtime, as {self.taken_flash_bytes(kinds):,} B for runtime '
          f'({self.builds[0]}, {", ".join(sorted(kinds))}) and application leave'
        )
      raise ValueError(
        f'board {self.name}: {reserved} nothing of flash_bytes={self.flash_bytes} for the model'
      )
    return Budget(self.room_bytes(kinds), self.sram_bytes - self.reserved_sram_bytes)

  @property
  def budget(self) -> Budget:
    """`budget_for` a chain of convolutions. Raises ValueError if nothing is left."""
    return self.budget_for(DEFAULT_KINDS)

  @property
  def speed(self) -> Speed | None:
    """The speed of the board, for estimates of time; None if that of the core is not known."""
    if self.core not in CORES:
      return None
    return Speed(
      self.core, self.clock_hz, self.builds[0], self.name if self.name in READ_BOARDS else ''
    )


def find_board(name_or_path: str | os.PathLike[str]) -> Board:
  """Returns the board with a name in `BOARDS`, or reads it from a path that ends in .json.

  A path may begin with '~'.

  Raises:
    ValueError: there is no such name, or the file does not describe a board.
    OSError: the file cannot be read.
  """
  name = os.path.expanduser(name_or_path)
  if name.lower().endswith('.json'):
    return load_board(name)
  if name not in BOARDS:
    close = difflib.get_close_matches(name.lower(), BOARDS, n=3, cutoff=0.5)
    meant = f'; did you mean {" or ".join(close)}?' if close else ''
    raise ValueError(
      f'board={name!r}: must be the path of a .json file or one of {", ".join(BOARDS)}{meant}'
    )
  return BOARDS[name]


def load_board(path: str | os.PathLike[str]) -> Board:
  """Reads a board from a JSON object whose keys are the fields of `Board`.

  'name', 'clock_hz', 'flash_bytes' and 'sram_bytes' are required. The title defaults to the name,
  the source is the path of the file, and the reserved memory is that of a program without an
  operating system.

  Raises:
    ValueError: the file is no such object; the message names the file, the key, its value and
      the rule.
    OSError: the file cannot be read.
  """
  content = pathlib.Path(path).read_bytes()
  try:
    record: Any = json.loads(content.decode('utf-8-sig'))
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{path}: must be JSON: {error}') from error
  if not isinstance(record, dict):
    raise ValueError(f'{path}: must be a JSON object, not a {type(record).__name__}')
  fields = [field.name for field in dataclasses.fields(Board)]
  for key, value in record.items():
    if key not in (*fields, 'kernels'):
      raise ValueError(f'{path}: {key}={value!r}: unknown key, must be one of {", ".join(fields)}')
  defaults = {
    'title': record.get('name'),
    'core': 'unknown',
    'reserved_flash_bytes': None,
    'reserved_sram_bytes': _BARE_METAL.sram_bytes,
    'source': os.fspath(path),
    'builds': (),
    'application_flash_bytes': _BARE_METAL.flash_bytes,
  }
  for key in ('flash_bytes', 'sram_bytes'):
    value = record.get(key, 0)
    if _is_integer(value) and 0 < value < _KIB:
      raise ValueError(f'{path}: {key}={value}: must be bytes, at least {_KIB:,}; is it in KiB?')
  for key in fields:
    if key not in record and key not in defaults:
      raise ValueError(f'{path}: {key}: is missing, must be given')
  try:
    board = Board(**{**defaults, **_with_builds(record)})
    if board.reserved_flash_bytes is not None or board.reserved_sram_bytes >= board.sram_bytes:
      _ = board.budget
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
  return board


def _with_builds(record: Mapping[str, Any]) -> dict[str, Any]:
  """The record with a tuple of builds; those of 'kernels' if, as in earlier versions, it has them.

  Raises:
    ValueError: the builds are not a list of texts, or there are no such kernels.
  """
  found = dict(record)
  kernels = found.pop('kernels', None)
  if kernels is not None:
    if kernels not in _BUILDS_OF_KERNELS:
      known = ', '.join(_BUILDS_OF_KERNELS)
      raise ValueError(f'kernels={kernels!r}: must be one of {known}; better give builds')
    found.setdefault('builds', list(_BUILDS_OF_KERNELS[kernels]))
  if 'builds' in found:
    builds = found['builds']
    if not isinstance(builds, list) or not all(isinstance(name, str) for name in builds):
      raise ValueError(f'builds={builds!r}: must be a list of names')
    found['builds'] = tuple(builds)
  return found


_BUILDS_OF_KERNELS = {
  'reference': builds_for('Cortex-M3'),
  'cmsis_nn': builds_for('Cortex-M4'),
  'esp_nn': builds_for('Xtensa LX6'),
  'unknown': builds_for('Xtensa LX7'),
}


def _is_integer(value: object) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


class _Application(NamedTuple):
  """Memory of an application, without runtime and model."""

  flash_bytes: int
  sram_bytes: int


# Kinds of application. A figure without a source is a convention of this table; those for SRAM lie
# in the range that mcufit reserves on such boards (`reserved_sram` in boards.yaml of
# github.com/avionicharshit-byte/mcufit).
# No operating system: vector table, drivers, a loop; 4 KiB of stack, buffers and C library.
_BARE_METAL = _Application(8 * _KIB, 4 * _KIB)
# The Arduino core with USB, and its bootloader, on a chip with 32 KiB of SRAM.
_SMALL_FRAMEWORK = _Application(32 * _KIB, 8 * _KIB)
# The Arduino core, Mbed OS, STM32Cube or the Pico SDK with USB, drivers and sensor buffers.
_FRAMEWORK = _Application(64 * _KIB, 32 * _KIB)
# Nordic's Bluetooth stack SoftDevice S140 7.x ends at 0x27000 = 156 KiB of flash (its release
# notes); 32 KiB for the program. mcufit reserves 48 KiB of SRAM.
_BLUETOOTH = _Application(156 * _KIB + 32 * _KIB, 48 * _KIB)
# ESP-IDF with Wi-Fi: its default partition table gives the program 1 MiB (ESP-IDF Programming
# Guide, "Partition Tables"). SRAM as mcufit reserves it: 200 KiB on an ESP32, 150 KiB on an S3.
_WIFI = _Application(_MIB, 200 * _KIB)
_WIFI_S3 = _Application(_MIB, 150 * _KIB)


def _board(
  name: str,
  title: str,
  core: str,
  clock_mhz: int,
  memory_kib: tuple[int, int],
  application: _Application,
  source: str,
  *,
  arduino: bool = False,
) -> Board:
  """Makes a row of the table.

  `memory_kib` is (flash, largest piece of SRAM); `arduino` is set for boards whose programs are
  usually made with the Arduino IDE, whose libraries do not define TF_LITE_STATIC_MEMORY.
  """
  flash_kib, sram_kib = memory_kib
  return Board(
    name=name,
    title=title,
    core=core,
    clock_hz=clock_mhz * 1_000_000,
    flash_bytes=flash_kib * _KIB,
    sram_bytes=sram_kib * _KIB,
    reserved_flash_bytes=None,
    reserved_sram_bytes=application.sram_bytes,
    source=source,
    builds=builds_for(core, arduino=arduino),
    application_flash_bytes=application.flash_bytes,
  )


# fmt: off
_TABLE = (
  # Smallest SRAM first. Name, title, core, MHz, (flash, SRAM) in KiB, application, source.
  _board('bluepill-f103c8', 'Blue Pill (STM32F103C8)', 'Cortex-M3', 72, (64, 20),
         _BARE_METAL, 'ST datasheet DS5319 (STM32F103x8), features'),
  _board('nucleo-l010rb', 'ST NUCLEO-L010RB (STM32L010RB)', 'Cortex-M0+', 32, (128, 20),
         _BARE_METAL, 'ST datasheet of the STM32L010RB, features; RM0451 section 2'),
  _board('nucleo-g071rb', 'ST NUCLEO-G071RB (STM32G071RB)', 'Cortex-M0+', 64, (128, 36),
         _BARE_METAL, 'ST datasheet DS12232 (STM32G071x8/xB), features'),
  _board('arduino-nano-33-iot', 'Arduino Nano 33 IoT (SAMD21G18)', 'Cortex-M0+', 48, (256, 32),
         _SMALL_FRAMEWORK, 'Microchip datasheet DS40001882 (SAM D21), features',
         arduino=True),
  _board('arduino-uno-r4-minima', 'Arduino UNO R4 Minima (RA4M1)', 'Cortex-M4', 48, (256, 32),
         _SMALL_FRAMEWORK, 'Renesas datasheet R01DS0355 (RA4M1), features',
         arduino=True),
  _board('nucleo-f446re', 'ST NUCLEO-F446RE (STM32F446RE)', 'Cortex-M4', 180, (512, 128),
         _FRAMEWORK, 'ST datasheet DS10693 (STM32F446xC/E), features'),
  _board('microbit-v2', 'BBC micro:bit v2 (nRF52833)', 'Cortex-M4', 64, (512, 128),
         _BLUETOOTH, 'tech.microbit.org, hardware, "nRF52 Application Processor"'),
  _board('stm32f407-disco', 'ST STM32F4DISCOVERY (STM32F407VG)', 'Cortex-M4', 168, (1024, 128),
         _FRAMEWORK,
         'ST datasheet DS8626 (STM32F405/407), features; 192 KiB less 64 KiB of separate CCM RAM'),
  _board('wio-terminal', 'Seeed Wio Terminal (SAMD51P19)', 'Cortex-M4', 120, (512, 192),
         _FRAMEWORK, 'Microchip datasheet DS60001507 (SAM D5x/E5x), features',
         arduino=True),
  _board('arduino-nano-33-ble', 'Arduino Nano 33 BLE (nRF52840)', 'Cortex-M4', 64, (1024, 256),
         _BLUETOOTH, 'Nordic nRF52840 Product Specification, key features',
         arduino=True),
  _board('raspberry-pi-pico', 'Raspberry Pi Pico (RP2040)', 'Cortex-M0+', 133, (2048, 264),
         _FRAMEWORK,
         'Raspberry Pi Pico datasheet, section 1; RP2040 datasheet, section 2.6.2 (SRAM)'),
  _board('stm32f746-disco', 'ST 32F746GDISCOVERY (STM32F746NG)', 'Cortex-M7', 216, (1024, 320),
         _FRAMEWORK,
         'ST datasheet DS10916 (STM32F745/746), features; DTCM, SRAM1 and SRAM2 adjoin (RM0385)'),
  _board('esp32', 'Espressif ESP32-DevKitC (ESP32)', 'Xtensa LX6', 240, (4096, 320),
         _WIFI,
         'ESP-IDF Programming Guide, "Memory Types": 320 of 520 KB hold data, 160 KB static'),
  _board('sparkfun-edge', 'SparkFun Edge (Apollo3 Blue)', 'Cortex-M4', 48, (1024, 384),
         _FRAMEWORK,
         'SparkFun product page DEV-15170; Ambiq Apollo3 Blue datasheet, features'),
  _board('esp32-s3', 'Espressif ESP32-S3-DevKitC-1-N8 (ESP32-S3)', 'Xtensa LX7', 240, (8192, 416),
         _WIFI_S3,
         'ESP32-S3 Technical Reference Manual, "System and Memory": 512 KB, largest piece SRAM1'),
  _board('nucleo-h743zi', 'ST NUCLEO-H743ZI (STM32H743ZI)', 'Cortex-M7', 480, (2048, 512),
         _FRAMEWORK,
         'ST datasheet DS12110 (STM32H743), features: 1 MB, the largest piece AXI SRAM'),
  _board('arduino-portenta-h7', 'Arduino Portenta H7 (STM32H747XI)', 'Cortex-M7', 480, (2048, 512),
         _FRAMEWORK,
         'ST datasheet DS12930 (STM32H747), features: 1 MB, the largest piece AXI SRAM',
         arduino=True),
  _board('teensy-4.1', 'PJRC Teensy 4.1 (i.MX RT1062)', 'Cortex-M7', 600, (7936, 512),
         _FRAMEWORK,
         'pjrc.com/store/teensy41.html, specifications and memory: 1024 KiB in two halves',
         arduino=True),
  _board('raspberry-pi-pico-2', 'Raspberry Pi Pico 2 (RP2350)', 'Cortex-M33', 150, (4096, 520),
         _FRAMEWORK,
         'Raspberry Pi Pico 2 datasheet, section 1; RP2350 datasheet, section 4.2 (SRAM)'),
  _board('nucleo-l4r5zi', 'ST NUCLEO-L4R5ZI (STM32L4R5ZI), MLPerf Tiny reference', 'Cortex-M4', 120,
         (2048, 640), _FRAMEWORK, 'ST datasheet DS12023 (STM32L4R5), features'),
)
# fmt: on

BOARDS: Mapping[str, Board] = types.MappingProxyType({board.name: board for board in _TABLE})
