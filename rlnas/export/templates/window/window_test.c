/* SPDX-License-Identifier: 0BSD */
/* Checks window.h: from validation examples, sample by sample, to the int8 inputs of the network,
 * whose hashes the training's code gave. In C99 and C++; `make test` runs it. With WINDOW_ANSWERS
 * defined it also runs the network, so it needs classify.cc and TFLite Micro.
 *
 * The examples have the licence of their data, not the one above. Source of the data:
 * @source@ */
#include <stdint.h>
#include <stdio.h>

#include "@window_header@"

#ifdef WINDOW_ANSWERS
#include "@classify_header@"
#endif

#define EXAMPLES @examples@
#define STEPS (@NAME@_WINDOW_FRAMES * @NAME@_WINDOW_RATE)

static const @raw@ samples[EXAMPLES][STEPS * @NAME@_WINDOW_VALUES] = {
@samples@
};

/* The FNV-1a hash of the input for each example, and @answer@. */
static const uint32_t hashes[EXAMPLES] = {@hashes@};
static const int answers[EXAMPLES] = {@answers@};

int main(void) {
  static @name@_window_stream stream;
  static int8_t input[@NAME@_WINDOW_FRAMES * @NAME@_WINDOW_FEATURES];
  int failures = 0;
@size_check@  for (int example = 0; example < EXAMPLES; ++example) {
    @name@_window_reset(&stream);
    int windows = 0, is_last = 0;
    for (int i = 0; i < STEPS; ++i) {
      is_last = @name@_window_push(&stream, &samples[example][i * @NAME@_WINDOW_VALUES], input);
      windows += is_last;
    }
    uint32_t hash = 2166136261u;
    for (int i = 0; i < @NAME@_WINDOW_FRAMES * @NAME@_WINDOW_FEATURES; ++i) {
      hash = (uint32_t)((hash ^ (uint8_t)input[i]) * 16777619u);
    }
    int found = answers[example];
#ifdef WINDOW_ANSWERS
    memcpy(@name@_input(), input, sizeof(input));
    const int8_t* outputs = @name@_invoke();
    found = outputs ? @found@ : 1000;
#endif
    const int missed = found > answers[example] ? found - answers[example] : answers[example] - found;
    if (windows != 1 || !is_last || hash != hashes[example] || missed > @tolerance@) {
      ++failures;
      printf("failed: example %d, answer %d\n", example, found);
    }
  }
  printf("%d of %d windows failed\n", failures, EXAMPLES);
  return failures != 0;
}
