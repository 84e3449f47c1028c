"""A running OpenAI-compatible server as an engine: vLLM, SGLang, TGI."""
