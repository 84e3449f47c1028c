"""headgate.v1.Inference: messages to requests, events to messages, errors to status codes."""
