// Classifies the test vectors again and again: prints the class, and blinks once more than its index.
#include <@arduino_header@>
#include <@name@.h>
#include <@name@/test_vectors.h>

#ifndef LED_BUILTIN
#define LED_BUILTIN 2  // as on most boards with an ESP32
#endif

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  while (!Serial && millis() < 3000) {
  }
  const int begun = @name@_begin();
  if (begun == @NAME@_ARENA_TOO_SMALL) Serial.println("the arena is too small");
  if (begun != 0) Serial.println("the network cannot be loaded");
}

void loop() {
  for (int vector = 0; vector < @NAME@_VECTORS; ++vector) {
    int8_t* input = @name@_input();
    if (input == nullptr) return;
    for (int i = 0; i < @NAME@_INPUT_BYTES; ++i) input[i] = @name@_vector_inputs[vector][i];
    const unsigned long begin = micros();
    const int8_t* outputs = @name@_invoke();
    const unsigned long end = micros();
    if (outputs == nullptr) return;
    const int found = @name@_best_class(outputs);
    Serial.print(@name@_class_names[found]);
    Serial.print(", expected ");
    Serial.print(@name@_class_names[@name@_best_class(@name@_vector_outputs[vector])]);
    Serial.print(", microseconds ");
    Serial.println(end - begin);
    for (int blink = 0; blink <= found; ++blink) {
      digitalWrite(LED_BUILTIN, HIGH);
      delay(150);
      digitalWrite(LED_BUILTIN, LOW);
      delay(150);
    }
    delay(1000);
  }
}
