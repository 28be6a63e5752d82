"""Ctrl-C in two steps: the first asks to stop, the second stops at once."""

from __future__ import annotations

import signal
import threading
import types

from absl import logging


class SoftInterrupt:
  """A context in which Ctrl-C sets `requested`; a second one raises KeyboardInterrupt.

  It changes nothing if the application handles the signal itself, or outside the main thread.

  Attributes:
    requested: whether there was a Ctrl-C.
  """

  def __init__(self) -> None:
    self.requested = False
    self._installed = False

  def __enter__(self) -> SoftInterrupt:
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      signal.signal(signal.SIGINT, self._on_signal)
      self._installed = True
    return self

  def __exit__(self, *_: object) -> None:
    if self._installed:
      signal.signal(signal.SIGINT, signal.default_int_handler)

  def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
    if self.requested:
      signal.default_int_handler(number, frame)
    self.requested = True
    logging.warning('stopping when the running trials have finished; Ctrl-C again stops at once')
