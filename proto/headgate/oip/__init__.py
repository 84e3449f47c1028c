"""The Open Inference Protocol, as generated code."""
