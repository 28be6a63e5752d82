/* SPDX-License-Identifier: 0BSD */
/* Checks the model's bytes, the quantization and the test vectors, in C99 and C++17 and without
 * TFLite Micro: on this machine by `make test`, on a chip or its emulator as any other program. */
#include <stdint.h>
#include <stdio.h>

#include "model.h"
#include "rlnas_model.h"
#include "test_vectors.h"

#define PROBES @probes@

/* Raw values, their places in the input, and their int8 inputs as the training computes them. */
static const @quantized@ probe_raw[PROBES] = {
@probe_raw@
};
@probe_place@static const int8_t probe_int8[PROBES] = {
@probe_int8@
};

static int checks = 0;
static int failures = 0;

static void check(int holds, const char* what, int number) {
  ++checks;
  if (holds) return;
  ++failures;
  printf("failed: %s (%d)\n", what, number);
}

/* The FNV-1a hash of the model's bytes. */
static uint32_t model_hash(void) {
  uint32_t hash = 2166136261u;
  for (unsigned int i = 0; i < @name@_model_bytes; ++i) {
    hash = (uint32_t)((hash ^ @name@_model[i]) * 16777619u);
  }
  return hash;
}

int main(void) {
  static const int shape[] = @NAME@_INPUT_SHAPE;
  int size = 1;
  for (unsigned int i = 0; i < sizeof(shape) / sizeof(shape[0]); ++i) size *= shape[i];
  check(size == @NAME@_INPUT_VALUES, "values of the input", size);
  check(@name@_model_bytes == @model_bytes@u, "bytes of the model", (int)@name@_model_bytes);
  check(model_hash() == @model_hash@u, "content of the model", (int)model_hash());
  check(@NAME@_MODEL_HASH == @model_hash@u, "model of the header", 0);
  check((uintptr_t)@name@_model % 16 == 0, "alignment of the model", 16);
  for (int i = 0; i < PROBES; ++i) {
    check(@quantize_probe@ == probe_int8[i], "quantized value", i);
  }
  for (int v = 0; v < @NAME@_VECTORS; ++v) {
@vector_checks@
  }
  for (int i = 0; i < @labels@; ++i) check(@names@[i] != NULL, "@name_check@", i);
  printf("%d of %d checks failed\n", failures, checks);
  return failures != 0;
}
