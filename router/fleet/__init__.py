"""What the router knows of its replicas: who they are (topology), how they are (stats, breaker), as one frozen view (store)."""
