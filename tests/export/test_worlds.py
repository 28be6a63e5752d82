"""The folders of `rlnas export --for`: complete by each world's rules, as far as they go here.

* Arduino: library.properties by the published rules of arduino-lint, which no package index has;
  the sketch compiles with a stand-in of Arduino.h.
* CMake: configures, builds and tests with the headers of the tests in place of TFLite Micro's.
* PlatformIO: `pio pkg pack` accepts it where it is installed (6.2.0 did).
* ESP-IDF and Zephyr: their CMake files with stand-ins of the functions that they call, their YAML,
  and the programs with stand-ins of the headers.
"""

import datetime
import functools
import json
import re
import shutil
import subprocess
from importlib import metadata

import pytest
import yaml

from rlnas.export.bundle import export_model
from rlnas.export.deployment import inspect, reserve
from rlnas.export.firmware import SOURCES
from rlnas.export.templates import WORLDS
from rlnas.spaces import NASNet
from tests.export.host_kernels import HEADERS, WARNINGS, HostFirmware
from tests.export.test_bundle import BUDGET, NAMES, images, network
from tests.export.test_firmware import made

pytestmark = pytest.mark.slow

MODELS = {'front_door': None, 'cells': NASNet()}


@functools.cache
def model_of(name):
  """Its model, made once."""
  return network(MODELS[name])


@pytest.fixture(scope='module', name='folder')
def _folder(tmp_path_factory):
  """A chain and a network of cells, each in the folders of all worlds."""
  folder = tmp_path_factory.mktemp('worlds')
  for name in MODELS:
    title = name.replace('_', ' ').capitalize()
    export_model(model_of(name), images(), BUDGET, folder, name=title, worlds=WORLDS)
  return folder


@pytest.mark.parametrize('world', WORLDS)
def test_the_files_are_there_and_their_test_passes(world, folder, tmp_path):
  for name in MODELS:
    files = {str(p.relative_to(folder / world / name)) for p in (folder / world / name).rglob('*')}
    cc = 'cpp' if world == 'arduino' else 'cc'
    c_files = ('model.h', 'rlnas_model.h', 'rlnas_operators.h', 'classify.h', 'test_vectors.h')
    c_files += (f'model.{cc}', f'classify.{cc}')
    assert files >= {
      'README.md',
      'LICENSE',
      f'src/{name}.h',
      *(f'src/{name}/{file}' for file in c_files),
    }
    text = '\n'.join(p.read_text() for p in (folder / world / name).rglob('*') if p.is_file())
    assert not re.search(r'@\w+@', text)
    shown = made(folder / world / name / 'test', f'BUILD={tmp_path / name}')
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.parametrize('world', WORLDS)
@pytest.mark.parametrize('name', MODELS)
def test_the_code_of_each_readme_compiles(world, name, folder, tmp_path):
  library = folder / world / name
  text = (library / 'README.md').read_text()
  assert f'rlnas export --workdir=DIR --for={world} --name=keywords' in text
  calls = [block for language, block in blocks(text) if language == 'c']
  assert len(calls) == 2
  source = f'#include "{name}.h"\n#include <stdint.h>\nuint8_t next_value(void);\n'
  for number, block in enumerate(calls):
    lines = block.splitlines()
    source += '\n'.join(line for line in lines if line.startswith('#'))
    body = '\n'.join(line for line in lines if not line.startswith('#'))
    source += f'\nint call_{number}(void) {{\n{body}\nreturn found;\n}}\n'
  (tmp_path / 'calls.c').write_text(source)
  flags = ('-std=c99', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-I', library / 'src')
  subprocess.run(['gcc', *flags, tmp_path / 'calls.c'], check=True, timeout=60)


def test_the_c_files_are_the_same_in_all_worlds(folder):
  def hashed(world):
    sources = (folder / world / 'cells' / 'src' / 'cells').iterdir()
    return {p.name.replace('.cpp', '.cc'): p.read_bytes() for p in sources}

  assert len(hashed('cpp')) == 7
  for world in WORLDS:
    assert hashed(world) == hashed('cpp')


def blocks(markdown):
  """(language, text) of the code in a Markdown file."""
  return re.findall(r'```(\w*)\n(.*?)```', markdown, re.DOTALL)


def test_an_unknown_world_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"worlds: 'mbed' must be one of arduino, cmake"):
    export_model(network(), images(), BUDGET, tmp_path, worlds=['mbed'])
  assert not list(tmp_path.iterdir())


def syntax(*files, includes, stubs, folder):
  """Compiles without output, with further headers by their paths."""
  for path, text in stubs.items():
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text('#pragma once\n' + text)
  paths = [flag for include in (*includes, folder, HEADERS) for flag in ('-I', include)]
  command = ['g++', '-std=c++17', *WARNINGS, '-Werror', '-fsyntax-only', *paths, '-x', 'c++']
  subprocess.run([*command, *files], check=True, timeout=60)


# The rules of https://arduino.github.io/arduino-lint, from its schema of library.properties.
CATEGORIES = (
  *('Display', 'Communication', 'Signal Input/Output', 'Sensors', 'Device Control', 'Timing'),
  *('Data Storage', 'Data Processing', 'Other'),
)
ARDUINO = """
#include <cstdint>
struct Port {
  void begin(long) {}
  explicit operator bool() const { return true; }
  template <typename T> void print(T) {}
  template <typename T> void println(T) {}
};
inline Port Serial;
enum { LOW, HIGH, OUTPUT, LED_BUILTIN };
inline void pinMode(int, int) {}
inline void digitalWrite(int, int) {}
inline void delay(unsigned long) {}
inline unsigned long millis() { return 0; }
inline unsigned long micros() { return 0; }
"""


@pytest.mark.parametrize('name', MODELS)
def test_arduino_lint_would_pass_the_library(name, folder, tmp_path):
  library = folder / 'arduino' / name
  lines = (library / 'library.properties').read_text().splitlines()
  fields = dict(line.split('=', 1) for line in lines)
  assert re.fullmatch(r'[a-zA-Z][a-zA-Z0-9_.\-]{0,15}', fields['name'])
  assert not re.search('arduino|library', fields['name'].lower())
  assert fields['name'] == library.name
  assert re.fullmatch(r'\d+\.\d+\.\d+', fields['version'])
  for key in ('author', 'maintainer', 'sentence', 'paragraph', 'architectures'):
    assert fields[key]
  assert 'arduino' not in fields['maintainer'].lower()
  assert not fields['paragraph'].startswith(fields['sentence'])
  assert fields['category'] in CATEGORIES
  assert re.fullmatch(r'https?://\S+', fields['url'])
  assert (library / 'src' / fields['includes']).is_file()
  assert re.fullmatch(r'[a-zA-Z][a-zA-Z0-9 _.\-]* \(=\d+\.\d+\.\d+\)', fields['depends'])
  assert not [p for p in library.rglob('*') if p.is_symlink() or p.suffix == '.exe']
  (sketch,) = library.glob('examples/*/*.ino')
  assert sketch.stem == sketch.parent.name
  stubs = {'Arduino.h': ARDUINO, 'Chirale_TensorFlowLite.h': ''}
  whole = tmp_path / 'sketch.cpp'  # as the IDE makes of it
  whole.write_text('#include <Arduino.h>\n' + sketch.read_text())
  sources = library.glob('src/*/*.cpp')
  syntax(whole, *sources, includes=[library / 'src'], stubs=stubs, folder=tmp_path)


@pytest.mark.parametrize('name', MODELS)
def test_the_platformio_project_compiles_with_stand_ins(name, folder, tmp_path):
  library = folder / 'platformio' / name
  manifest = json.loads((library / 'library.json').read_text())
  assert manifest['name'] == name
  assert 'license' not in manifest, 'packing would need the network to check it'
  assert (library / 'src' / manifest['headers']).is_file()
  for example in manifest['examples']:
    for file in example['files']:
      assert (library / example['base'] / file).is_file()
  stubs = {'Arduino.h': ARDUINO, 'Chirale_TensorFlowLite.h': ''}
  program = library / 'examples' / 'check' / 'src' / 'main.cpp'
  syntax(program, includes=[library / 'src'], stubs=stubs, folder=tmp_path)


@pytest.mark.skipif(not shutil.which('pio'), reason='PlatformIO is not installed')
def test_platformio_packs_the_library(folder, tmp_path):
  command = ['pio', 'pkg', 'pack', folder / 'platformio' / 'cells', '-o', tmp_path]
  subprocess.run(command, check=True, timeout=120)
  assert (tmp_path / 'cells-1.0.0.tar.gz').is_file()


def run(*command):
  """Runs a command, and returns it with what it printed."""
  return subprocess.run(command, check=False, timeout=120, capture_output=True, text=True)


def configured(lists, folder, *settings):
  """Configures and builds a CMake project; returns the first step that failed, or the last one."""
  (folder / 'CMakeLists.txt').write_text(
    'cmake_minimum_required(VERSION 3.20)\nproject(test LANGUAGES C CXX)\n' + lists
  )
  done = run('cmake', '-S', folder, '-B', folder / 'build', *settings)
  return run('cmake', '--build', folder / 'build') if done.returncode == 0 else done


needs_cmake = pytest.mark.skipif(not shutil.which('cmake'), reason='CMake is not installed')
needs_arm = pytest.mark.skipif(
  not shutil.which('arm-none-eabi-g++'), reason='gcc-arm-none-eabi is not installed'
)


@needs_cmake
def test_cmake_builds_two_networks_in_one_program(folder, tmp_path):
  both = '\n'.join(f'add_subdirectory({folder / "cmake" / name} {name})' for name in MODELS)
  (tmp_path / 'app.c').write_text(
    ''.join(f'#include "{name}.h"\n' for name in MODELS)
    + f'int main(void) {{ return {" + ".join(f"{name}_begin()" for name in MODELS)} != -2; }}\n'
  )
  done = configured(
    f"""
set(TFLM_DIR {HEADERS})
{both}
add_executable(app app.c)
target_link_libraries(app PRIVATE {' '.join(f'{name}::{name}' for name in MODELS)})
set_target_properties(app PROPERTIES LINKER_LANGUAGE CXX)
add_custom_target(all_checks ALL)
add_dependencies(all_checks {' '.join(f'{name}_check' for name in MODELS)})
""",
    tmp_path,
  )
  assert done.returncode == 0, done.stderr
  assert run(tmp_path / 'build' / 'app').returncode == 0
  for name in MODELS:  # nothing runs the network here, and the program says so
    assert run(tmp_path / 'build' / name / f'{name}_check').returncode == 1


@needs_cmake
def test_the_commands_in_the_readme_test_a_network_without_tflite_micro(folder, tmp_path):
  source = shutil.copytree(folder / 'cmake' / 'cells', tmp_path / 'cells')
  commands = next(b for language, b in blocks((source / 'README.md').read_text()) if language)
  assert len(commands.splitlines()) == 3
  for command in commands.splitlines():
    subprocess.run(command.split(), check=True, timeout=120, capture_output=True, cwd=source)
  last = (source / 'build' / 'Testing' / 'Temporary' / 'LastTest.log').read_text()
  assert last.count('Test Passed') == 1


@needs_cmake
def test_cmake_with_a_tree_of_tflite_micro_runs_the_vectors_too(folder, tmp_path):
  """The headers of the tests are such a tree; nothing runs the network there."""
  settings = (f'-DTFLM_DIR={HEADERS}', '-DCELLS_ARENA_BYTES=77777')
  assert run('cmake', '-S', folder / 'cmake' / 'cells', '-B', tmp_path, *settings).returncode == 0
  assert run('cmake', '--build', tmp_path).returncode == 0
  shown = run('ctest', '--test-dir', tmp_path)
  assert re.search(r'cells_host_test \.+ +Passed', shown.stdout)
  assert re.search(r'cells_check \.+\*+Failed', shown.stdout)
  assert 'CMAKE_BUILD_TYPE:STRING=MinSizeRel' in (tmp_path / 'CMakeCache.txt').read_text()


@needs_cmake
@needs_arm
def test_cmake_runs_no_program_of_another_machine(folder, tmp_path):
  settings = (
    *('-DCMAKE_SYSTEM_NAME=Generic', '-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY'),
    *('-DCMAKE_C_COMPILER=arm-none-eabi-gcc', '-DCMAKE_CXX_COMPILER=arm-none-eabi-g++'),
    f'-DTFLM_DIR={HEADERS}',
  )
  assert run('cmake', '-S', folder / 'cmake' / 'cells', '-B', tmp_path, *settings).returncode == 0
  done = run('cmake', '--build', tmp_path)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'libcells.a').is_file()
  assert 'Total Tests: 0' in run('ctest', '--test-dir', tmp_path, '-N').stdout


@needs_cmake
def test_cmake_adds_what_cmsis_nn_needs(folder, tmp_path):
  tree = shutil.copytree(HEADERS, tmp_path / 'tree')
  network = f'add_subdirectory({folder / "cmake" / "cells"} cells)\n'
  without = configured(f'set(TFLM_CMSIS_NN ON)\nset(TFLM_DIR {tree})\n{network}', tmp_path)
  assert 'has no third_party/cmsis_nn' in ' '.join(without.stderr.split())
  include = tree / 'third_party' / 'cmsis_nn' / 'Include'
  include.mkdir(parents=True)
  (include / 'arm_nnfunctions.h').write_text('#define HAS_ARM_NN\n')
  (tree / 'tensorflow' / 'kernel.cc').write_text(
    '#include "Include/arm_nnfunctions.h"\n#ifndef CMSIS_NN\n#error no CMSIS_NN\n#endif\n'
  )
  (tmp_path / 'app.cc').write_text(
    '#include <cells.h>\n#ifndef CMSIS_NN\n#error no CMSIS_NN\n#endif\nint main() {}\n'
  )
  app = 'add_executable(app app.cc)\ntarget_link_libraries(app cells)\n'
  shutil.rmtree(tmp_path / 'build')
  done = configured(f'set(TFLM_DIR {tree})\n{network}{app}', tmp_path)
  assert done.returncode == 0, done.stderr


@needs_cmake
def test_cmake_names_what_is_missing(folder, tmp_path):
  network = f'add_subdirectory({folder / "cmake" / "cells"} cells)\n'
  shown = configured(network, tmp_path).stderr
  assert 'needs a target tflm, or TFLM_DIR' in ' '.join(shown.split())
  shown = configured(network, tmp_path, f'-DTFLM_DIR={tmp_path}').stderr
  assert f'TFLM_DIR={tmp_path}: has no' in ' '.join(shown.split())


def test_two_networks_pass_their_vectors_in_one_program(folder, tmp_path):
  """Their C files as the C++ world has them, on TFLite Micro's kernels."""
  sources = [folder / 'cpp' / name / 'src' / name for name in MODELS]
  programs = [folder / 'cpp' / name / 'examples' / 'check' / 'main.cc' for name in MODELS]
  flags = [f'-D{name.upper()}_NO_MAIN' for name in MODELS]
  flags += [flag for source in sources for flag in ('-I', source.parent)]
  copies = []
  for source, program in zip(sources, programs, strict=True):
    copies.append(shutil.copytree(source, tmp_path / source.name))
    shutil.copy(program, tmp_path / source.name)
  both = HostFirmware(copies, output=tmp_path / 'both.so', flags=flags)
  for name in MODELS:
    assert getattr(both.library, f'{name}_check')() == 0
    assert f'0 of {len(NAMES)} vectors differ' in both.printed()


IDF = {
  'driver/gpio.h': """
enum gpio_num_t { GPIO_NUM_2 = 2 };
enum { GPIO_MODE_OUTPUT };
inline int gpio_set_level(gpio_num_t, int) { return 0; }
inline int gpio_reset_pin(gpio_num_t) { return 0; }
inline int gpio_set_direction(gpio_num_t, int) { return 0; }
""",
  'esp_timer.h': '#include <cstdint>\ninline int64_t esp_timer_get_time() { return 0; }\n',
  'freertos/FreeRTOS.h': '#define pdMS_TO_TICKS(ms) (ms)\n',
  'sdkconfig.h': '#define CONFIG_CHECK_LED_GPIO 2\n',
  'freertos/task.h': 'inline void vTaskDelay(int) {}\n',
}
# The functions of a build system that a module calls, as libraries of CMake.
STAND_INS = """
function(idf_component_register)
  cmake_parse_arguments(IT "" "" "SRCS;INCLUDE_DIRS;PRIV_REQUIRES" ${ARGN})
  set(COMPONENT_LIB component PARENT_SCOPE)
  add_library(component STATIC ${IT_SRCS})
  target_include_directories(component PUBLIC ${IT_INCLUDE_DIRS} PRIVATE ${TFLM})
endfunction()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
macro(zephyr_compile_definitions)
  add_compile_definitions(${ARGN})
endmacro()
macro(zephyr_library_compile_definitions)
  target_compile_definitions(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  target_include_directories(${name} PRIVATE ${TFLM})
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
"""


def size_of(name):
  """A CMake target `app`, whose program prints the arena."""
  text = f'#include <cstdio>\n#include <{name}.h>\nint main() {{ '
  text += f'std::printf("%d", {name.upper()}_ARENA_BYTES); }}\n'
  source = '${CMAKE_BINARY_DIR}/app.cc'
  return f'file(WRITE {source} [[{text}]])\nadd_executable(app {source})\n'


@needs_cmake
@pytest.mark.parametrize('name', MODELS)
def test_the_esp_idf_component_builds_with_stand_ins(name, folder, tmp_path):
  component = folder / 'esp-idf' / name
  manifest = yaml.safe_load((component / 'idf_component.yml').read_text())
  assert re.fullmatch(r'\d+\.\d+\.\d+', manifest['version'])
  assert set(manifest) <= {'version', 'description', 'license', 'dependencies'}
  assert manifest['dependencies']['espressif/esp-tflite-micro']
  example = component / 'examples' / 'check'
  assert f'PRIV_REQUIRES {name} ' in (example / 'main' / 'CMakeLists.txt').read_text()
  option = f'{name.upper()}_ARENA_BYTES'
  room = reserve(inspect(model_of(name)))
  kconfig = (component / 'Kconfig').read_text()
  assert f'config {option}\n' in kconfig
  defaults = re.findall(r'default (\d+)(?: if (\w+))?', kconfig)
  assert defaults == [
    (str(room.esp32s3_total_bytes), 'IDF_TARGET_ESP32S3'),
    (str(room.any_total_bytes), ''),
  ]
  lists = f'set(TFLM {HEADERS})\nset(CONFIG_{option} 77777)\n{STAND_INS}\n'
  lists += f'add_subdirectory({component} c)\n{size_of(name)}target_link_libraries(app component)\n'
  done = configured(lists, tmp_path)
  assert done.returncode == 0, done.stderr
  assert run(tmp_path / 'build' / 'app').stdout == '77777'
  program, includes = example / 'main' / 'main.cc', [component / 'src']
  syntax(program, includes=includes, stubs=IDF, folder=tmp_path / 'stubs')


ZEPHYR = {
  'zephyr/kernel.h': """
#include <cstdint>
inline void k_msleep(int) {}
inline uint32_t k_cycle_get_32() { return 0; }
inline uint32_t k_cyc_to_us_floor32(uint32_t cycles) { return cycles; }
""",
  'zephyr/sys/printk.h': 'inline void printk(const char*, ...) {}\n',
  'zephyr/drivers/gpio.h': """
struct gpio_dt_spec { const void* port; };
#define DT_ALIAS(name) name
#define GPIO_DT_SPEC_GET_OR(node, property, otherwise) otherwise
enum { GPIO_OUTPUT_INACTIVE };
inline bool gpio_is_ready_dt(const gpio_dt_spec*) { return true; }
inline int gpio_pin_set_dt(const gpio_dt_spec*, int) { return 0; }
inline int gpio_pin_configure_dt(const gpio_dt_spec*, int) { return 0; }
""",
}


@needs_cmake
@pytest.mark.parametrize('name', MODELS)
def test_the_zephyr_module_builds_with_stand_ins(name, folder, tmp_path):
  module = folder / 'zephyr' / name
  declared = yaml.safe_load((module / 'zephyr' / 'module.yml').read_text())
  assert declared['name'] == name
  assert (module / declared['build']['cmake'] / 'CMakeLists.txt').is_file()
  kconfig = (module / declared['build']['kconfig']).read_text()
  option = f'MODEL_{name.upper()}'
  assert kconfig.startswith(f'config {option}\n')
  assert 'default y' not in kconfig
  room = reserve(inspect(model_of(name)))
  assert re.findall(r'default (\d+)', kconfig) == [
    str(room.host_total_bytes),
    str(room.any_total_bytes),
  ]
  sample = module / 'samples' / 'check'
  assert f'CONFIG_{option}=y' in (sample / 'prj.conf').read_text()
  assert f'sample.{name}.check' in yaml.safe_load((sample / 'sample.yaml').read_text())['tests']
  build = module / declared['build']['cmake']
  cmsis = 'CONFIG_TENSORFLOW_LITE_MICRO_CMSIS_NN_KERNELS'
  lists = f'set(TFLM {HEADERS})\nset(CONFIG_{option} y)\nset(CONFIG_{option}_ARENA_BYTES 77777)\n'
  lists += f'set({cmsis} y)\n{STAND_INS}\nadd_subdirectory({build} m)\n'
  done = configured(lists, tmp_path, '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON')
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'build' / 'm' / f'lib{name}.a').is_file()
  commands = (tmp_path / 'build' / 'compile_commands.json').read_text()
  assert commands.count('-DCMSIS_NN') == 2
  assert commands.count(f'-D{name.upper()}_ARENA_BYTES=77777') == 2
  program, includes = sample / 'src' / 'main.cpp', [module / 'src']
  syntax(program, includes=includes, stubs=ZEPHYR, folder=tmp_path / 'stubs')


def test_the_version_of_tflite_micro_is_the_installed_one():
  """The README of the CMake world names the commit with which this is tested."""
  version = metadata.version('tflite-micro')
  installed = datetime.datetime.strptime(version.split('dev')[1][:8], '%Y%m%d')
  assert f'{installed.day} {installed:%B %Y}' == SOURCES['tflm_date']
  assert f'/blob/{SOURCES["tflm_commit"]}/' in metadata.metadata('tflite-micro').get_payload()
