"""What routers are told, and what they tell: Topology.Watch and Topology.Report."""
