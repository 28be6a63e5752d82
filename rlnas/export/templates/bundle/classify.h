/* Runs the network for @title@: @name@_classify() is all that a firmware needs.
 *
 * In C99 and C++. None of these functions may run in two threads or interrupts at the same time. */
#ifndef @NAME@_CLASSIFY_H_
#define @NAME@_CLASSIFY_H_

#include "rlnas_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions return if they fail: never a class, as classes begin at 0. */
enum {
  @NAME@_ARENA_TOO_SMALL = -1, /* define @NAME@_ARENA_BYTES larger */
  @NAME@_WRONG_SCHEMA = -2,    /* TFLite Micro reads another version of the format */
  @NAME@_NO_OPERATOR = -3,     /* TFLite Micro has not all operators of the network */
  @NAME@_NOT_RUN = -4          /* an operator failed */
};

/* The class of an example, or one of the errors above.
 *
 * The first call sets up the interpreter in an arena of its own. If that fails, MicroPrintf tells
 * the cause and every later call returns the same error.
 *
 * input: @NAME@_INPUT_BYTES raw values as in the training data, which are quantized here.
 * scores: gets @NAME@_CLASSES logits, one a class; NULL if only the class is wanted. */
int @name@_classify(const @raw@* input, float* scores);

/* Sets up the interpreter now, which the functions below and above do otherwise: 0 or an error. */
int @name@_begin(void);

/* The network's input in the arena, @NAME@_INPUT_BYTES values, to be written with
 * @name@_quantize() one by one: no array of raw values is needed. NULL if it cannot begin. */
int8_t* @name@_input(void);

/* Runs the network on what @name@_input() holds, which that overwrites. The @NAME@_CLASSES int8
 * outputs, or NULL if it fails. @name@_best_class() names their class. */
const int8_t* @name@_invoke(void);

/* The bytes of the arena in use; 0 if it cannot begin. Loading may need more. */
int @name@_arena_used_bytes(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* @NAME@_CLASSIFY_H_ */
