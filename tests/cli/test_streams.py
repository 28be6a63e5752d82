"""What a command does with output that nobody reads, or that a terminal cannot show."""

import os
import subprocess
import sys

import pytest

BOARDS = (sys.executable, '-m', 'rlnas', 'boards')
# A sign of `rlnas measure`, and the name of a class.
_SHOW = "from rlnas.cli.flags import show; show('25 ± 3 静止'); show('then')"


def test_the_reader_may_leave():
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run(BOARDS, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
  os.close(writing)
  assert (done.returncode, done.stderr) == (0, '')


def test_after_the_reader_left_the_command_does_its_work(tmp_path):
  made = tmp_path / 'made'
  code = f"from rlnas.cli.flags import show; show('a'); show('b'); open({str(made)!r}, 'w').close()"
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run([sys.executable, '-c', code], stdout=writing, check=False)
  os.close(writing)
  assert (done.returncode, made.exists()) == (0, True)


@pytest.mark.parametrize(
  ('encoding', 'shown'), [('ascii', b'25 ? 3 ??\nthen\n'), ('latin-1', b'25 \xb1 3 ??\nthen\n')]
)
def test_a_terminal_shows_what_it_can(encoding, shown):
  environment = {**os.environ, 'PYTHONIOENCODING': encoding}
  done = subprocess.run(
    [sys.executable, '-c', _SHOW], capture_output=True, env=environment, check=True
  )
  assert done.stdout == shown


def test_the_null_device_takes_the_place_of_closed_streams(tmp_path):
  # Otherwise the next file would be the standard output, with all that is printed.
  made = tmp_path / 'journal'
  code = (
    'from rlnas.cli.main import main\n'
    "main(['boards'])\n"
    f'file = open({str(made)!r}, "w")\n'
    'print("not for the file", flush=True)\n'
    'file.write(str(file.fileno() > 2))\n'
  )
  closed = ['/bin/sh', '-c', '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
  assert subprocess.run(closed, check=False).returncode == 0
  assert made.read_text() == 'True'
