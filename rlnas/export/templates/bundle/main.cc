/* SPDX-License-Identifier: 0BSD */
/* Runs the test vectors on the device with TensorFlow Lite for Microcontrollers.
 *
 * Compile it with model.cc, classify.cc and the library, as C++17 and with the same defines as the
 * library, such as TF_LITE_STATIC_MEMORY and CMSIS_NN: they change the library's structures and
 * functions. Define @NAME@_NO_MAIN if the program has a main() of its own, which may call
 * @name@_check().
 *
@sketch@ * It prints by MicroPrintf, which is empty where TF_LITE_STRIP_ERROR_STRINGS is defined, and which
 * does not know a port in a library for TARGET=cortex_m_generic. So define @NAME@_PRINT as the name
 * of a function of yours, extern "C" void your_print(const char* text), for all lines to go there.
 */
#include <stdint.h>

#include "@classify_h@"
#include "@vectors_h@"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"

#if defined(ARDUINO) && __has_include(<Arduino.h>)
#include <Arduino.h>
#define @NAME@_SKETCH
#endif

/* 0 if the device computes the expected outputs, the number of vectors for which it does not, or an
 * error of classify.h. */
extern "C" int @name@_check(void);

#ifdef @NAME@_PRINT
extern "C" void @NAME@_PRINT(const char* text);
#ifdef __GNUC__
/* As tensorflow/lite/micro/cortex_m_generic/debug_log_callback.h declares it; null elsewhere. */
extern "C" void RegisterDebugLogCallback(void (*callback)(const char* text)) __attribute__((weak));
#endif
#endif

namespace {

/* A line of output, which needs no <stdio.h>; too long a text is cut. */
class Line {
 public:
  Line& operator<<(const char* text) {
    while (*text != 0 && length_ < sizeof(text_) - 2) text_[length_++] = *text++;
    return *this;
  }
  Line& operator<<(int number) {
    char digits[12];
    int place = sizeof(digits) - 1;
    unsigned int rest = number < 0 ? 0u - static_cast<unsigned int>(number)
                                   : static_cast<unsigned int>(number);
    digits[place] = 0;
    do {
      digits[--place] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--place] = '-';
    return *this << &digits[place];
  }
  ~Line() {
#ifdef @NAME@_PRINT
    text_[length_++] = '\n';
    text_[length_] = 0;
    @NAME@_PRINT(text_);
#else
    text_[length_] = 0;
    MicroPrintf("%s", text_);
#endif
  }

 private:
  char text_[128];
  unsigned int length_ = 0;
};

/* Whether a vector's outputs are the expected ones, or differ by 1, as optimised kernels may. */
bool Passes(int vector) {
  int8_t* input = @name@_input();
  for (int i = 0; i < @NAME@_INPUT_VALUES; ++i) input[i] = @name@_vector_inputs[vector][i];
  const int8_t* outputs = @name@_invoke();
  Line line;
  line << "vector " << vector << ": ";
  if (outputs == nullptr) {
    line << "not run";
    return false;
  }
  const int difference = @name@_vector_difference(vector, outputs);
  line << (difference <= 1 ? "ok, differs by " : "DIFFERS by ") << difference@vector_line@
  return difference <= 1;
}

}  // namespace

int @name@_check(void) {
  tflite::InitializeTarget();
#if defined(@NAME@_PRINT) && defined(__GNUC__)
  if (RegisterDebugLogCallback != nullptr) RegisterDebugLogCallback(@NAME@_PRINT);
#endif
  const int begun = @name@_begin();
  if (begun != 0) {
    Line() << "@name@_begin() returns " << begun << ": see classify.h";
    return begun;
  }
  Line() << "arena: " << @name@_arena_used_bytes() << " of "
         << static_cast<int>(@NAME@_ARENA_BYTES) << " bytes used";
  int failures = 0;
  for (int vector = 0; vector < @NAME@_VECTORS; ++vector) failures += Passes(vector) ? 0 : 1;
  Line() << failures << " of " << @NAME@_VECTORS << " vectors differ";
  return failures;
}

#ifdef @NAME@_NO_MAIN
#elif defined(@NAME@_SKETCH)
void setup() { @name@_check(); }

void loop() {}
#else
int main() { return @name@_check() == 0 ? 0 : 1; }
#endif
