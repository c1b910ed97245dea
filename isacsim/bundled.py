"""The plugins that come with isacsim; they register through the same hooks as any other."""

PLUGINS = (
    "isacsim.channels.plugin",
    "isacsim.targets.plugin",
    "isacsim.hardware.plugin",
    "isacsim.metrics.plugin",
    "isacsim.problems.plugin",
    "isacsim.solvers.plugin",
    "isacsim.waveform.plugin",
    "isacsim.engine.plugin",
)
