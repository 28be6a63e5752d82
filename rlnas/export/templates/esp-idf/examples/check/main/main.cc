/* SPDX-License-Identifier: 0BSD */
/* Runs the test vectors again and again: says whether the outputs are right, blinks @blinks_text@. */
#include <stdio.h>

#include "@name@.h"
#include "@name@/test_vectors.h"
#include "driver/gpio.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

namespace {

constexpr int kLed = CONFIG_CHECK_LED_GPIO; /* below 0: none */

void Blink(int times) {
  for (int i = 0; kLed >= 0 && i < times; ++i) {
    gpio_set_level(static_cast<gpio_num_t>(kLed), 1);
    vTaskDelay(pdMS_TO_TICKS(150));
    gpio_set_level(static_cast<gpio_num_t>(kLed), 0);
    vTaskDelay(pdMS_TO_TICKS(150));
  }
}

/* Whether the chip gives the outputs of a vector, to 1. */
bool Passes(int vector) {
  int8_t* input = @name@_input();
  for (int i = 0; i < @NAME@_INPUT_VALUES; ++i) input[i] = @name@_vector_inputs[vector][i];
  const int64_t begin = esp_timer_get_time();
  const int8_t* outputs = @name@_invoke();
  const int64_t end = esp_timer_get_time();
  if (outputs == nullptr) {
    printf("vector %d: not run\n", vector);
    return false;
  }
  const int difference = @name@_vector_difference(vector, outputs);
  const int found = @found@;
  printf("vector %d: %s %d, @found_word@ @found_format@, %d microseconds\n", vector,
         difference <= 1 ? "ok, differs by" : "DIFFERS by", difference, @found_shown@,
         static_cast<int>(end - begin));
  Blink(@blinks@);
  return difference <= 1;
}

}  // namespace

extern "C" void app_main(void) {
  if (kLed >= 0) {
    gpio_reset_pin(static_cast<gpio_num_t>(kLed));
    gpio_set_direction(static_cast<gpio_num_t>(kLed), GPIO_MODE_OUTPUT);
  }
  for (;;) {
    const int begun = @name@_begin();
    if (begun != 0) { /* classify.h names it; -1: usually the arena is too small */
      printf("@name@_begin() returns %d\n", begun);
      vTaskDelay(pdMS_TO_TICKS(2000));
      continue;
    }
    printf("arena: %d of %d bytes used\n", @name@_arena_used_bytes(),
           static_cast<int>(@NAME@_ARENA_BYTES));
    int passed = 0;
    for (int vector = 0; vector < @NAME@_VECTORS; ++vector) {
      passed += Passes(vector) ? 1 : 0;
      vTaskDelay(pdMS_TO_TICKS(1000));
    }
    printf("%d of %d vectors ok\n", passed, @NAME@_VECTORS);
  }
}
