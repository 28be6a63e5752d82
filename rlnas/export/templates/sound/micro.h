
/* The front end is that of TFLite Micro: compile and link the C files in its folder
 * tensorflow/lite/experimental/microfrontend/lib, and kissfft. It allocates its tables once. */
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend_util.h"

typedef struct {
  struct FrontendState state;
  int is_made;
} @name@_sound_work;

/* Sets up the front end with the parameters of the training, or resets it: its noise reduction
 * starts again. Returns -1 if it cannot allocate. `work` must be zero before the first call. */
static inline int @name@_sound_begin(@name@_sound_work* work) {
  if (work->is_made) {
    FrontendReset(&work->state);
    return 0;
  }
  struct FrontendConfig config;
  FrontendFillConfigWithDefaults(&config);
@parameters@
  if (!FrontendPopulateState(&config, &work->state, @NAME@_SOUND_RATE)) return -1;
  work->is_made = 1;
  return 0;
}

/* Takes samples until a frame is complete; returns whether it is. */
static inline int @name@_sound_take(@name@_sound_work* work, const int16_t* samples, int count,
                                    int* taken, uint8_t* features) {
  size_t read = 0;
  const struct FrontendOutput found =
      FrontendProcessSamples(&work->state, samples, (size_t)count, &read);
  *taken = (int)read;
  if (found.size != @NAME@_SOUND_BINS) return 0;
  for (int bin = 0; bin < @NAME@_SOUND_BINS; ++bin) {
    const int value = (found.values[bin] * 256 + @micro_half@) / @micro_steps@;
    features[bin] = (uint8_t)(value > 255 ? 255 : value);
  }
  return 1;
}
