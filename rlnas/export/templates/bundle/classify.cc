/* SPDX-License-Identifier: 0BSD */
/* Compile it as C++11 or later, as the headers of TFLite Micro need it (those of 2026: C++17), and
 * with the same defines as that library, such as TF_LITE_STATIC_MEMORY and
 * CMSIS_NN: they change the library's structures and functions. */
#include "classify.h"

@classify_math@#include <new>

#include "model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

/* After the library's headers, whose functions it looks for. */
#include "rlnas_operators.h"

namespace {

using Resolver = tflite::MicroMutableOpResolver<@NAME@_OPERATORS>;

/* Made when they are needed and never destroyed: static objects would link in guards of threads and
 * code that runs at exit. */
alignas(16) uint8_t arena[@NAME@_ARENA_BYTES];
alignas(Resolver) unsigned char resolver_place[sizeof(Resolver)];
alignas(tflite::MicroInterpreter) unsigned char interpreter_place[sizeof(tflite::MicroInterpreter)];

tflite::MicroInterpreter* interpreter = nullptr; /* null until it is set up */

int Begin() {
  const tflite::Model* model = tflite::GetModel(@name@_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    MicroPrintf("model has schema %d, library %d", static_cast<int>(model->version()),
                TFLITE_SCHEMA_VERSION);
    return @NAME@_WRONG_SCHEMA;
  }
  Resolver* resolver = new (resolver_place) Resolver;
  if (!@name@_add_operators(resolver)) return @NAME@_NOT_REGISTERED;
  tflite::MicroInterpreter* made = new (interpreter_place)
      tflite::MicroInterpreter(model, *resolver, arena, @NAME@_ARENA_BYTES);
  if (made->AllocateTensors() != kTfLiteOk) {
    MicroPrintf("not loaded: @NAME@_ARENA_BYTES, here %d, may be too small",
                static_cast<int>(@NAME@_ARENA_BYTES));
    return @NAME@_NOT_LOADED;
  }
  interpreter = made;
  return 0;
}

@finish@

}  // namespace

int @name@_begin(void) {
  static int result = 1; /* neither success nor an error: not tried yet */
  if (result > 0) result = Begin();
  return result;
}

int8_t* @name@_input(void) {
  return @name@_begin() == 0 ? interpreter->input(0)->data.int8 : nullptr;
}

const int8_t* @name@_invoke(void) {
  if (@name@_begin() != 0 || interpreter->Invoke() != kTfLiteOk) return nullptr;
  return interpreter->output(0)->data.int8;
}

int @function@(const @raw@* input, float* @result@) {
  const int begun = @name@_begin();
  if (begun != 0) return begun;
  int8_t* quantized = @name@_input();
  for (int i = 0; i < @NAME@_INPUT_VALUES; ++i) {
@quantize_input@
  }
  return @finish_call@;
}
@define_u8@
int @name@_arena_used_bytes(void) {
  return @name@_begin() == 0 ? static_cast<int>(interpreter->arena_used_bytes()) : 0;
}
