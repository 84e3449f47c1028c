"""The control plane: makes pools, tenants and policies true in Kubernetes, and tells the routers."""
