"""Evaluators, which turn an architecture into a measurement, and executors, which run them."""
