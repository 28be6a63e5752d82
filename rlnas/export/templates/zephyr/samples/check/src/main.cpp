/* SPDX-License-Identifier: 0BSD */
/* Runs the test vectors again and again: says whether the outputs are right, blinks @blinks_text@. */
#include <zephyr/drivers/gpio.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@name@.h"
#include "@name@/test_vectors.h"

namespace {

const struct gpio_dt_spec led = GPIO_DT_SPEC_GET_OR(DT_ALIAS(led0), gpios, {});
bool has_led = false;

void Blink(int times) {
  for (int i = 0; has_led && i < times; ++i) {
    gpio_pin_set_dt(&led, 1);
    k_msleep(150);
    gpio_pin_set_dt(&led, 0);
    k_msleep(150);
  }
}

/* Whether the chip gives the outputs of a vector, to 1. */
bool Passes(int vector) {
  int8_t* input = @name@_input();
  for (int i = 0; i < @NAME@_INPUT_VALUES; ++i) input[i] = @name@_vector_inputs[vector][i];
  const uint32_t begin = k_cycle_get_32();
  const int8_t* outputs = @name@_invoke();
  const uint32_t cycles = k_cycle_get_32() - begin;
  if (outputs == nullptr) {
    printk("vector %d: not run\n", vector);
    return false;
  }
  const int difference = @name@_vector_difference(vector, outputs);
  const int found = @found@;
  printk("vector %d: %s %d, @found_word@ @found_format@, %u microseconds\n", vector,
         difference <= 1 ? "ok, differs by" : "DIFFERS by", difference, @found_shown@,
         static_cast<unsigned int>(k_cyc_to_us_floor32(cycles)));
  Blink(@blinks@);
  return difference <= 1;
}

}  // namespace

int main() {
  has_led = led.port != nullptr && gpio_is_ready_dt(&led) &&
            gpio_pin_configure_dt(&led, GPIO_OUTPUT_INACTIVE) == 0;
  for (;;) {
    const int begun = @name@_begin();
    if (begun != 0) { /* classify.h names it; -1: usually the arena is too small */
      printk("@name@_begin() returns %d\n", begun);
      k_msleep(2000);
      continue;
    }
    printk("arena: %d of %d bytes used\n", @name@_arena_used_bytes(),
           static_cast<int>(@NAME@_ARENA_BYTES));
    int passed = 0;
    for (int vector = 0; vector < @NAME@_VECTORS; ++vector) {
      passed += Passes(vector) ? 1 : 0;
      k_msleep(1000);
    }
    printk("%d of %d vectors ok\n", passed, @NAME@_VECTORS);
  }
  return 0; /* what Zephyr asks for */
}
