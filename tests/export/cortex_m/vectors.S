/* Where a Cortex-M begins: its stack, then newlib's start, which prints by semihosting. */
.section .vectors, "a"
.word 0x20400000
.word _start
