#ifndef TESTS_MICRO_INTERPRETER_H_
#define TESTS_MICRO_INTERPRETER_H_
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

/* What Python gives: a number for a loaded network, or one below 0; and whether it ran. */
struct HostKernels {
  int (*load)(const void* model, size_t arena_bytes, size_t sizes[3]);
  int (*run)(int network, const int8_t* input, int8_t* output);
};
extern "C" HostKernels host_kernels;

struct TfLiteTensor {
  union {
    int8_t* int8;
    float* f;
  } data;
};

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size)
      : model_(model), resolver_(op_resolver), arena_(tensor_arena), bytes_(tensor_arena_size) {}
  TfLiteStatus AllocateTensors() {
    size_t sizes[3] = {0, 0, 0}; /* of input, output and the arena in use */
    network_ = host_kernels.load(model_, bytes_, sizes);
    if (network_ < 0 || resolver_.missing) return kTfLiteError;
    input_.data.int8 = reinterpret_cast<int8_t*>(arena_);
    output_.data.int8 = reinterpret_cast<int8_t*>(arena_) + sizes[0];
    used_ = sizes[2];
    return kTfLiteOk;
  }
  TfLiteStatus Invoke() {
    return host_kernels.run(network_, input_.data.int8, output_.data.int8) ? kTfLiteOk
                                                                          : kTfLiteError;
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return used_; }

 private:
  const Model* model_;
  const MicroOpResolver& resolver_;
  uint8_t* arena_;
  size_t bytes_;
  size_t used_ = 0;
  int network_ = -1;
  TfLiteTensor input_ = {};
  TfLiteTensor output_ = {};
};

}  // namespace tflite
#endif
