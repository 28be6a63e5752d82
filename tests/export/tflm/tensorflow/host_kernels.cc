#include <cstdarg>
#include <cstdio>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"

/* Until Python gives better ones. */
static int Refuse(const void*, size_t, size_t*) { return -1; }

HostKernels host_kernels = {Refuse, nullptr};

/* What was printed since Python last read it. */
static char printed[1 << 16];
static size_t length = 0;

extern "C" const char* host_printed() {
  printed[length] = 0;
  length = 0;
  return printed;
}

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int added = vsnprintf(printed + length, sizeof(printed) - length - 1, format, arguments);
  va_end(arguments);
  length += static_cast<size_t>(added);
  printed[length++] = '\n';
}

void tflite::InitializeTarget() {}
