"""The example program of a deployment bundle, the same for every network and board."""

MAIN = """\
/* Runs the test vectors on the device with TensorFlow Lite for Microcontrollers.
 *
 * Compile it with model.cc and the library, as C++17. In an Arduino sketch call rlnas_check() from
 * setup() instead of main(). It needs only TFLite Micro's headers, and prints by MicroPrintf.
 */
#include <stdint.h>

#include "model.h"
#include "rlnas_model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "test_vectors.h"

namespace {

alignas(16) uint8_t arena[RLNAS_ARENA_BYTES];

/* The greatest difference from the expected outputs of one vector, or -1 if it cannot run. */
int Difference(tflite::MicroInterpreter* interpreter, int vector) {
  int8_t* input = interpreter->input(0)->data.int8;
  for (int i = 0; i < RLNAS_INPUT_BYTES; ++i) {
    input[i] = rlnas_vector_inputs[vector][i];
  }
  if (interpreter->Invoke() != kTfLiteOk) return -1;
  const int8_t* output = interpreter->output(0)->data.int8;
  int greatest = 0;
  for (int i = 0; i < RLNAS_CLASSES; ++i) {
    const int difference = output[i] - rlnas_vector_outputs[vector][i];
    const int distance = difference < 0 ? -difference : difference;
    if (distance > greatest) greatest = distance;
  }
  MicroPrintf("vector %d: class %s, true class %s, greatest difference %d", vector,
              rlnas_class_names[rlnas_best_class(output)],
              rlnas_class_names[rlnas_vector_labels[vector]], greatest);
  return greatest;
}

}  // namespace

/* Returns 0 if the device computes the expected outputs. The reference kernels give exactly these;
 * optimised kernels may differ by 1 due to rounding. */
int rlnas_check() {
  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel(rlnas_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    MicroPrintf("model has schema %d, library %d", static_cast<int>(model->version()),
                TFLITE_SCHEMA_VERSION);
    return 1;
  }
  static tflite::MicroMutableOpResolver<RLNAS_OPERATORS> resolver;
  if (!rlnas_add_operators(&resolver)) return 1;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, RLNAS_ARENA_BYTES);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("an arena of %d bytes is too small", RLNAS_ARENA_BYTES);
    return 1;
  }
  MicroPrintf("arena: %d of %d bytes used", static_cast<int>(interpreter.arena_used_bytes()),
              RLNAS_ARENA_BYTES);
  int failures = 0;
  for (int vector = 0; vector < RLNAS_VECTORS; ++vector) {
    const int difference = Difference(&interpreter, vector);
    if (difference < 0 || difference > 1) ++failures;
  }
  MicroPrintf("%d of %d vectors differ", failures, RLNAS_VECTORS);
  return failures != 0;
}

int main() { return rlnas_check(); }
"""
