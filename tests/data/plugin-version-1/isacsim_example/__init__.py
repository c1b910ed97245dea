"""An example plugin of isacsim: a soft-limiting amplifier."""
