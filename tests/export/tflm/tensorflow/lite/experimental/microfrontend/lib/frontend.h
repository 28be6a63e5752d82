// The front end of sound; see tests/export/tflm/README.md. Its state is larger than the real one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct FrontendState {
  uint64_t opaque[512];
};

struct FrontendOutput {
  const uint16_t* values;
  size_t size;
};

struct FrontendOutput FrontendProcessSamples(struct FrontendState* state, const int16_t* samples,
                                             size_t num_samples, size_t* num_samples_read);
void FrontendReset(struct FrontendState* state);

#ifdef __cplusplus
}
#endif
