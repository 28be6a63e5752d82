#ifndef TESTS_KERNELS_CONV_H_
#define TESTS_KERNELS_CONV_H_
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite {
inline TFLMRegistration Register_CONV_2D_INT8() { return {}; }
}  // namespace tflite
#endif
