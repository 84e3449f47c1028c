"""vLLM in this process, on CPU and GPU alike."""
