/* SPDX-License-Identifier: 0BSD */
/* The network for @title@: @call@() and all that belongs to it. */
#ifndef @NAME@_H_
#define @NAME@_H_

@library_include@#include "@name@/classify.h"
#include "@name@/rlnas_model.h"

#endif /* @NAME@_H_ */
