/* SPDX-License-Identifier: 0BSD */
/* From the samples of a sensor to the input of the network for @title@:
 * @description@.
 *
 *   static @name@_window_stream stream;            (with classify.h)
 *   @name@_window_reset(&stream);
 *   for (;;) {
 *     @raw@ sample[@NAME@_WINDOW_VALUES];            (as in the training data, and as often)
 *     read_sensor(sample);
 *     if (@name@_window_push(&stream, sample, @name@_input())) {
 *       const int8_t* outputs = @name@_invoke();     (NULL if it fails)
 *       if (outputs) use(@use@);
 *     }
 *   }
 *
 * All is here, for C99 and C++; include it in one file. window_test.c checks it. */
#ifndef @NAME@_WINDOW_H_
#define @NAME@_WINDOW_H_

#include <stdint.h>
#include <string.h>

#include "@model_header@"

#define @NAME@_WINDOW_VALUES @values@   /* of a sample, in the order of the training data */
#define @NAME@_WINDOW_RATE @rate@     /* samples whose mean is a frame */
#define @NAME@_WINDOW_FRAMES @frames@   /* that the network reads */
#define @NAME@_WINDOW_FEATURES @features@ /* of a frame: values of a sample that the network reads */

/* Frames from a window to the next. Define it for all files to classify more or less often. */
#ifndef @NAME@_WINDOW_HOP
#define @NAME@_WINDOW_HOP @hop@
#endif

/* Which values of a sample these are. */
static const uint16_t @name@_window_features[@NAME@_WINDOW_FEATURES] = {@indices@};

/* What is kept of a stream: @stream_bytes@ bytes, beside the arena. */
typedef struct {
  @raw@ sums[@NAME@_WINDOW_FEATURES]; /* of the frame that is not complete */
  int32_t samples;                 /* in these sums */
  int32_t next;                    /* the oldest frame of the ring, which the next one replaces */
  int32_t wait;                    /* frames until the next window */
  int8_t ring[@NAME@_WINDOW_FRAMES][@NAME@_WINDOW_FEATURES];
} @name@_window_stream;

/* Starts again with an empty window. */
static inline void @name@_window_reset(@name@_window_stream* stream) {
  stream->samples = 0;
  stream->next = 0;
  stream->wait = @NAME@_WINDOW_FRAMES;
}

/* Takes a sample. If it completes a window, writes that to `input`, which is what @name@_input() of
 * classify.h returns, and returns 1; otherwise returns 0 and writes nothing. */
static inline int @name@_window_push(@name@_window_stream* stream, const @raw@* sample,
                                     int8_t* input) {
  const int begins = stream->samples == 0;
  for (int i = 0; i < @NAME@_WINDOW_FEATURES; ++i) {
    const @raw@ value = sample[@name@_window_features[i]];
    stream->sums[i] = begins ? value : stream->sums[i] + value;
  }
  if (++stream->samples < @NAME@_WINDOW_RATE) return 0;
  stream->samples = 0;
  int8_t* frame = stream->ring[stream->next];
  for (int i = 0; i < @NAME@_WINDOW_FEATURES; ++i) {
    frame[i] = @name@_quantize(stream->sums[i] / (@raw@)@NAME@_WINDOW_RATE@place@);
  }
  stream->next = (stream->next + 1) % @NAME@_WINDOW_FRAMES;
  if (--stream->wait > 0) return 0;
  stream->wait = @NAME@_WINDOW_HOP;
  for (int i = 0; i < @NAME@_WINDOW_FRAMES; ++i) {
    memcpy(input + i * @NAME@_WINDOW_FEATURES,
           stream->ring[(stream->next + i) % @NAME@_WINDOW_FRAMES], @NAME@_WINDOW_FEATURES);
  }
  return 1;
}

#endif /* @NAME@_WINDOW_H_ */
