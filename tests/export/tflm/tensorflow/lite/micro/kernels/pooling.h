#ifndef TESTS_KERNELS_POOLING_H_
#define TESTS_KERNELS_POOLING_H_
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite {
inline TFLMRegistration Register_AVERAGE_POOL_2D_INT8() { return {}; }
inline TFLMRegistration Register_MAX_POOL_2D_INT8() { return {}; }
}  // namespace tflite
#endif
