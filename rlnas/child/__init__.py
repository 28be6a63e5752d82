"""Child networks: build, train, quantize, measure."""
