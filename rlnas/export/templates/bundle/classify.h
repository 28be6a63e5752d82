/* SPDX-License-Identifier: 0BSD */
/* Runs the network for @title@: @call@() is all that a firmware needs.
 *
@input_comment@
 *
 * For C99 and C++; a program in C needs the C++ linker, as the network runs in C++. All functions
 * block until they are done. They share one interpreter: none may be called while another runs, so
 * neither from two threads nor from an interrupt. */
#ifndef @NAME@_CLASSIFY_H_
#define @NAME@_CLASSIFY_H_

#include "rlnas_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions return if they fail: never a class, as classes begin at 0. */
enum {
  /* TFLite Micro refused to set up: usually @NAME@_ARENA_BYTES is too small for its kernels. Its
   * own message stands above, if the library prints any. */
  @NAME@_NOT_LOADED = -1,
  @NAME@_WRONG_SCHEMA = -2,   /* TFLite Micro reads another version of the format */
  @NAME@_NOT_REGISTERED = -3, /* rlnas_operators.h is not that of this model */
  @NAME@_NOT_RUN = -4         /* an operator failed */
};

/* The class of an example, or one of the errors above.
 *
 * The first call sets up the interpreter in an arena of its own, which takes longer. If that fails,
 * every later call returns the same error. MicroPrintf tells the cause, unless the library has no
 * texts of errors (TF_LITE_STRIP_ERROR_STRINGS) or no way to print.
 *
 * input: @NAME@_INPUT_VALUES raw values, see above; they are quantized here.
 * scores: gets @NAME@_CLASSES logits, one a class; NULL if only the class is wanted. */
int @name@_classify(const @raw@* input, float* scores);
@declare_u8@
/* Optional: sets up now instead of at the first call. 0 or an error. */
int @name@_begin(void);

/* The network's input in the arena, @NAME@_INPUT_VALUES values, to be written with
 * @name@_quantize() one by one: no array of raw values is needed. NULL if it cannot begin. The
 * address stays the same, but running the network overwrites what is there: write all of it again
 * before each @name@_invoke(). */
int8_t* @name@_input(void);

/* Runs the network on what @name@_input() holds. Returns the @NAME@_CLASSES int8 outputs, or NULL
 * if it fails. They are valid until the next call of any of these functions. @name@_best_class()
 * names their class, @name@_logit() their scores. */
const int8_t* @name@_invoke(void);

/* The bytes of the arena in use; 0 if it cannot begin. Setting up may need more. */
int @name@_arena_used_bytes(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* @NAME@_CLASSIFY_H_ */
