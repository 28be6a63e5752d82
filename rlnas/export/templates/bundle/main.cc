/* Runs the test vectors on the device with TensorFlow Lite for Microcontrollers.
 *
 * Compile it with model.cc, classify.cc and the library, as C++17 and with the same defines as the
 * library, such as TF_LITE_STATIC_MEMORY and CMSIS_NN: they change the library's structures and
 * functions. Define @NAME@_NO_MAIN if the program has a main() of its own, which may call
 * @name@_check().
 *
 * Arduino: put the files into the sketch's folder, beside an .ino file that holds nothing but the
 * #include of the library, such as <TensorFlowLite.h>. setup() prints to the serial port.
 *
 * It prints by MicroPrintf. A library for TARGET=cortex_m_generic prints nothing until it knows a
 * function for it: define @NAME@_PRINT as the name of yours, void your_print(const char* text).
 */
#include <stdint.h>

#include "classify.h"
#include "rlnas_model.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "test_vectors.h"

#if defined(ARDUINO) && __has_include(<Arduino.h>)
#include <Arduino.h>
#define @NAME@_SKETCH
#endif

#ifdef @NAME@_PRINT
void @NAME@_PRINT(const char* text);
/* As tensorflow/lite/micro/cortex_m_generic/debug_log_callback.h declares it. */
extern "C" void RegisterDebugLogCallback(void (*callback)(const char* text));
#endif

extern "C" int @name@_check(void);

namespace {

/* The greatest difference from the expected outputs of one vector, or -1 if it cannot run. */
int Difference(int vector) {
  int8_t* input = @name@_input();
  if (input == nullptr) return -1;
  for (int i = 0; i < @NAME@_INPUT_BYTES; ++i) {
    input[i] = @name@_vector_inputs[vector][i];
  }
  const int8_t* output = @name@_invoke();
  if (output == nullptr) return -1;
  int greatest = 0;
  for (int i = 0; i < @NAME@_CLASSES; ++i) {
    const int difference = output[i] - @name@_vector_outputs[vector][i];
    const int distance = difference < 0 ? -difference : difference;
    if (distance > greatest) greatest = distance;
  }
  MicroPrintf("vector %d: class %s, true class %s, greatest difference %d", vector,
              @name@_class_names[@name@_best_class(output)],
              @name@_class_names[@name@_vector_labels[vector]], greatest);
  return greatest;
}

}  // namespace

/* Returns 0 if the device computes the expected outputs. The reference kernels give exactly these;
 * optimised kernels may differ by 1 due to rounding. */
int @name@_check(void) {
  tflite::InitializeTarget();
#ifdef @NAME@_PRINT
  RegisterDebugLogCallback(@NAME@_PRINT);
#endif
  if (@name@_begin() != 0) return 1; /* which says why */
  MicroPrintf("arena: %d of %d bytes used", @name@_arena_used_bytes(),
              static_cast<int>(@NAME@_ARENA_BYTES));
  int failures = 0;
  for (int vector = 0; vector < @NAME@_VECTORS; ++vector) {
    const int difference = Difference(vector);
    if (difference < 0 || difference > 1) ++failures;
  }
  MicroPrintf("%d of %d vectors differ", failures, @NAME@_VECTORS);
  return failures != 0;
}

#ifdef @NAME@_NO_MAIN
#elif defined(@NAME@_SKETCH)
void setup() { @name@_check(); }

void loop() {}
#else
int main() { return @name@_check(); }
#endif
