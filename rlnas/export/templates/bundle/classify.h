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

/* What the functions return if they fail@failing@. */
enum {
  /* TFLite Micro refused to set up: usually @NAME@_ARENA_BYTES is too small for its kernels. Its
   * own message stands above, if the library prints any. */
  @NAME@_NOT_LOADED = -1,
  @NAME@_WRONG_SCHEMA = -2,   /* TFLite Micro reads another version of the format */
  @NAME@_NOT_REGISTERED = -3, /* rlnas_operators.h is not that of this model */
  @NAME@_NOT_RUN = -4         /* an operator failed */
};

@call_text@
 *
 * The first call sets up the interpreter in an arena of its own, which takes longer. If that fails,
 * every later call returns the same error. MicroPrintf tells the cause, unless the library has no
 * texts of errors (TF_LITE_STRIP_ERROR_STRINGS) or no way to print.
 *
 * input: @NAME@_INPUT_VALUES raw values, see above; they are quantized here.
@result_text@
int @function@(const @raw@* input, float* @result@);
@declare_u8@
/* Optional: sets up now instead of at the first call. 0 or an error. */
int @name@_begin(void);

/* The network's input in the arena, @NAME@_INPUT_VALUES values, to be written with
 * @name@_quantize() one by one: no array of raw values is needed. NULL if it cannot begin. The
 * address stays the same, but running the network overwrites what is there: write all of it again
 * before each @name@_invoke(). */
int8_t* @name@_input(void);

/* Runs the network on what @name@_input() holds. Returns the @outputs@ int8 outputs, or NULL
@invoke_text@
const int8_t* @name@_invoke(void);

/* The bytes of the arena in use; 0 if it cannot begin. Setting up may need more. */
int @name@_arena_used_bytes(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* @NAME@_CLASSIFY_H_ */
