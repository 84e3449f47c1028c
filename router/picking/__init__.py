"""Which replica: filter, score, pick over the fleet's arrays. Pure decisions; `pipeline.py` is the way in."""
