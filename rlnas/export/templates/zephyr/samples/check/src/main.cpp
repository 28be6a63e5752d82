/* Classifies the test vectors again and again: prints the class, and blinks once more than its index. */
#include <zephyr/drivers/gpio.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@name@.h"
#include "@name@/test_vectors.h"

namespace {

const struct gpio_dt_spec led = GPIO_DT_SPEC_GET_OR(DT_ALIAS(led0), gpios, {});

void Blink(int times) {
  for (int i = 0; led.port != nullptr && i < times; ++i) {
    gpio_pin_set_dt(&led, 1);
    k_msleep(150);
    gpio_pin_set_dt(&led, 0);
    k_msleep(150);
  }
}

}  // namespace

int main() {
  if (led.port != nullptr) gpio_pin_configure_dt(&led, GPIO_OUTPUT_INACTIVE);
  const int begun = @name@_begin();
  if (begun == @NAME@_ARENA_TOO_SMALL) printk("the arena is too small\n");
  if (begun != 0) {
    printk("the network cannot be loaded: %d\n", begun);
    return begun;
  }
  printk("arena: %d of %d bytes used\n", @name@_arena_used_bytes(), static_cast<int>(@NAME@_ARENA_BYTES));
  for (int vector = 0;; vector = (vector + 1) % @NAME@_VECTORS) {
    int8_t* input = @name@_input();
    for (int i = 0; i < @NAME@_INPUT_BYTES; ++i) input[i] = @name@_vector_inputs[vector][i];
    const int64_t begin = k_uptime_get();
    const int8_t* outputs = @name@_invoke();
    const int64_t end = k_uptime_get();
    if (outputs == nullptr) return @NAME@_NOT_RUN;
    const int found = @name@_best_class(outputs);
    printk("%s, expected %s, %d milliseconds\n", @name@_class_names[found],
           @name@_class_names[@name@_best_class(@name@_vector_outputs[vector])],
           static_cast<int>(end - begin));
    Blink(found + 1);
    k_msleep(1000);
  }
}
