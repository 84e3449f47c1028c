"""The Open Inference Protocol v2: tensors and parameters to requests, events to tensors."""
