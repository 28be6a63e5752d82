"""Networks as tf-keras models: built, trained, pruned, trained aware of quantization."""
