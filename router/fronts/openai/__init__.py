"""OpenAI's API in both directions: bodies to requests, events to JSON and server-sent events."""
