"""The workers: one inference engine each, behind headgate.v1.Worker. `engine.py` is the seam, `service.py` the wire."""
