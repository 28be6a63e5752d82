/* SPDX-License-Identifier: 0BSD */
/* From samples of a microphone to the input of the network for @title@:
 * @settings@.
 *
 *   static @name@_sound_stream stream;             (with classify.h)
 *   @name@_sound_reset(&stream);
 *   for (;;) {
 *     int16_t samples[@NAME@_SOUND_HOP];             (16 bits, @rate@ Hz, one channel)
 *     read_microphone(samples, @NAME@_SOUND_HOP);
 *     @name@_sound_listen(&stream, samples, @NAME@_SOUND_HOP);
 *     if (@name@_sound_input(&stream, @name@_input())) {
 *       const int8_t* outputs = @name@_invoke();     (NULL if it fails)
 *       if (outputs) use(@name@_best_class(outputs));
 *     }
 *   }
 *
 * All is here, for C99 and C++; include it in one file. sound_test.c checks it. */
#ifndef @NAME@_SOUND_H_
#define @NAME@_SOUND_H_

#include <stdint.h>
#include <string.h>

#include "@model_header@"

#define @NAME@_SOUND_RATE @rate@
#define @NAME@_SOUND_CLIP @clip@   /* samples that the network hears */
#define @NAME@_SOUND_FRAME @frame@ /* samples of a frame */
#define @NAME@_SOUND_HOP @hop@     /* samples from a frame to the next */
#define @NAME@_SOUND_FRAMES @FRAMES@
#define @NAME@_SOUND_BINS @bins@
