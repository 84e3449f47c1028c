"""The Kubernetes API: watching, writing, leading. The only place that talks to it."""
