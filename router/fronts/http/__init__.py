"""HTTP/1.1 on asyncio protocols: parsing, limits, time-outs, back-pressure. Knows nothing of OpenAI."""
