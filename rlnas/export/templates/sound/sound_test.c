/* SPDX-License-Identifier: 0BSD */
/* Checks sound.h: from samples, which a rule makes, to the int8 inputs of the network, whose hashes
 * the training's code gave. In C99 and C++; `make test` runs it, if the front end needs no library.
 * With SOUND_CLASSES defined it also runs the network, so it needs classify.cc and TFLite Micro. */
#include <stdint.h>
#include <stdio.h>

#include "@sound_header@"

#ifdef SOUND_CLASSES
#include "@classify_header@"
#endif

#define CLIPS @clips@

/* The FNV-1a hash of the input for each clip, and the class that the network gives. */
static const uint32_t hashes[CLIPS] = {@hashes@};
static const int classes[CLIPS] = {@classes@};

/* Clip number `clip`: noise, and a tone that rises in some of them, louder from clip to clip. */
static int16_t sample(int clip, uint32_t* noise, uint32_t* phase, uint32_t* pitch) {
  *noise = (uint32_t)(*noise * 1664525u + 1013904223u);
  *pitch = (uint32_t)(*pitch + (clip % 2 == 0 ? 0u : 30000u));
  *phase = (uint32_t)(*phase + *pitch);
  const int32_t saw = (int32_t)(*phase >> 16) - 32768;
  const int32_t hiss = (int32_t)(*noise >> 16) - 32768;
  return (int16_t)((saw * (1 + clip) + hiss) / (8 * CLIPS));
}

int main(void) {
  static @name@_sound_stream stream;
  static int8_t input[@NAME@_SOUND_FRAMES * @NAME@_SOUND_BINS];
  int failures = 0;
@size_check@  for (int clip = 0; clip < CLIPS; ++clip) {
    uint32_t noise = (uint32_t)clip, phase = 0, pitch = 200000000u;
    if (@name@_sound_reset(&stream) != 0) return 2;
    for (int i = 0; i < @NAME@_SOUND_CLIP; ++i) { /* one by one: any number is as good */
      const int16_t next = sample(clip, &noise, &phase, &pitch);
      @name@_sound_listen(&stream, &next, 1);
    }
    uint32_t hash = 2166136261u;
    if (!@name@_sound_input(&stream, input)) hash = 0;
    for (int i = 0; i < @NAME@_SOUND_FRAMES * @NAME@_SOUND_BINS; ++i) {
      hash = (uint32_t)((hash ^ (uint8_t)input[i]) * 16777619u);
    }
    int found = classes[clip];
#ifdef SOUND_CLASSES
    @name@_sound_input(&stream, @name@_input());
    const int8_t* outputs = @name@_invoke();
    found = outputs ? @name@_best_class(outputs) : -1;
#endif
    if (hash != hashes[clip] || found != classes[clip]) {
      ++failures;
      printf("failed: clip %d, class %d\n", clip, found);
    }
  }
  printf("%d of %d clips of sound failed\n", failures, CLIPS);
  return failures != 0;
}
