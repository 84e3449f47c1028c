"""`headgate demo`: three pools, a handful of prompts, every answer, decision and cost."""
