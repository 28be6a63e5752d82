/* Classifies the test vectors again and again: prints the class, and blinks once more than its index. */
#include <stdio.h>

#include "@name@.h"
#include "@name@/test_vectors.h"
#include "driver/gpio.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

namespace {

constexpr gpio_num_t kLed = GPIO_NUM_2; /* as on most boards with an ESP32 */

void Blink(int times) {
  for (int i = 0; i < times; ++i) {
    gpio_set_level(kLed, 1);
    vTaskDelay(pdMS_TO_TICKS(150));
    gpio_set_level(kLed, 0);
    vTaskDelay(pdMS_TO_TICKS(150));
  }
}

}  // namespace

extern "C" void app_main(void) {
  gpio_reset_pin(kLed);
  gpio_set_direction(kLed, GPIO_MODE_OUTPUT);
  const int begun = @name@_begin();
  if (begun == @NAME@_ARENA_TOO_SMALL) printf("the arena is too small\n");
  if (begun != 0) {
    printf("the network cannot be loaded: %d\n", begun);
    return;
  }
  printf("arena: %d of %d bytes used\n", @name@_arena_used_bytes(), static_cast<int>(@NAME@_ARENA_BYTES));
  for (int vector = 0;; vector = (vector + 1) % @NAME@_VECTORS) {
    int8_t* input = @name@_input();
    for (int i = 0; i < @NAME@_INPUT_BYTES; ++i) input[i] = @name@_vector_inputs[vector][i];
    const int64_t begin = esp_timer_get_time();
    const int8_t* outputs = @name@_invoke();
    const int64_t end = esp_timer_get_time();
    if (outputs == nullptr) return;
    const int found = @name@_best_class(outputs);
    printf("%s, expected %s, %d microseconds\n", @name@_class_names[found],
           @name@_class_names[@name@_best_class(@name@_vector_outputs[vector])],
           static_cast<int>(end - begin));
    Blink(found + 1);
    vTaskDelay(pdMS_TO_TICKS(1000));
  }
}
