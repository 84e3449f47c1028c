"""The router: one endpoint in front of every model pool. `dispatch.py` is the request path."""
