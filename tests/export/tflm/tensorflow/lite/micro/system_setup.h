#ifndef TESTS_SYSTEM_SETUP_H_
#define TESTS_SYSTEM_SETUP_H_
namespace tflite {
void InitializeTarget();
}
#endif
