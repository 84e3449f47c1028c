"""ModelPool → Kubernetes objects, as plain dicts. Pure."""
