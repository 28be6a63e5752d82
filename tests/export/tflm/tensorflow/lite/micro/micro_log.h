#ifndef TESTS_MICRO_LOG_H_
#define TESTS_MICRO_LOG_H_
void MicroPrintf(const char* format, ...);
#endif
