// SPDX-License-Identifier: 0BSD
// Runs the test vectors again and again: says whether the outputs are right, and blinks @blinks_text@.
#include <@name@.h>
#include <@name@/test_vectors.h>

#ifndef LED_BUILTIN
#define LED_BUILTIN 2  // as on most boards with an ESP32
#endif

static void blink(int times) {
  for (int i = 0; i < times; ++i) {
    digitalWrite(LED_BUILTIN, HIGH);
    delay(150);
    digitalWrite(LED_BUILTIN, LOW);
    delay(150);
  }
}

// Whether the board gives the outputs of a vector, to 1.
static bool passes(int vector) {
  int8_t* input = @name@_input();
  for (int i = 0; i < @NAME@_INPUT_VALUES; ++i) input[i] = @name@_vector_inputs[vector][i];
  const unsigned long begin = micros();
  const int8_t* outputs = @name@_invoke();
  const unsigned long end = micros();
  if (outputs == nullptr) {
    Serial.println("not run");
    return false;
  }
  const int difference = @name@_vector_difference(vector, outputs);
  const int found = @found@;
  Serial.print(difference <= 1 ? "ok, differs by " : "DIFFERS by ");
  Serial.print(difference);
  Serial.print(", @found_word@ ");
  Serial.print(@found_shown@);
  Serial.print(", microseconds ");
  Serial.println(end - begin);
  blink(@blinks@);
  return difference <= 1;
}

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  while (!Serial && millis() < 3000) {
  }
}

void loop() {
  const int begun = @name@_begin();
  if (begun != 0) {
    Serial.print("@name@_begin() returns ");
    Serial.println(begun);  // classify.h names it; -1: usually the arena is too small
    delay(2000);
    return;
  }
  Serial.print("arena bytes used: ");
  Serial.println(@name@_arena_used_bytes());
  int passed = 0;
  for (int vector = 0; vector < @NAME@_VECTORS; ++vector) {
    if (passes(vector)) ++passed;
    delay(1000);
  }
  Serial.print("vectors ok: ");
  Serial.print(passed);
  Serial.print(" of ");
  Serial.println(@NAME@_VECTORS);
}
