"""Benchmarks of isacsim: time, and what the time buys (objective, residual, steps)."""
