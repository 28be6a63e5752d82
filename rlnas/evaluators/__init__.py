"""Evaluators: what turns an architecture into a measurement."""
