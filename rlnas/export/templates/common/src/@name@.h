/* The network for @title@: @name@_classify() and all that belongs to it. */
#ifndef @NAME@_H_
#define @NAME@_H_

#include "@name@/classify.h"
#include "@name@/rlnas_model.h"

#endif /* @NAME@_H_ */
