#ifndef TESTS_MICRO_MUTABLE_OP_RESOLVER_H_
#define TESTS_MICRO_MUTABLE_OP_RESOLVER_H_

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TFLMRegistration {};

namespace tflite {

struct MicroOpResolver {
  int missing; /* how many operators are yet to be added */
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  MicroMutableOpResolver() : MicroOpResolver{static_cast<int>(tOpCount)} {}
  TfLiteStatus AddAdd(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddAveragePool2D(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddConcatenation() { return Add(); }
  TfLiteStatus AddConv2D(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddDepthwiseConv2D(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddFullyConnected(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddLogistic() { return Add(); }
  TfLiteStatus AddMaxPool2D(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddMean() { return Add(); }
  TfLiteStatus AddMul(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddPad() { return Add(); }
  TfLiteStatus AddQuantize() { return Add(); }
  TfLiteStatus AddRelu() { return Add(); }
  TfLiteStatus AddReshape() { return Add(); }
  TfLiteStatus AddResizeNearestNeighbor() { return Add(); }
  TfLiteStatus AddStridedSlice() { return Add(); }
  TfLiteStatus AddTanh() { return Add(); }

 private:
  TfLiteStatus Add() { return missing-- > 0 ? kTfLiteOk : kTfLiteError; }
};

}  // namespace tflite
#endif
