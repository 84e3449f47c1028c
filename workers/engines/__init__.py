"""The engines: one module each, imported only when a worker is configured to use it."""
