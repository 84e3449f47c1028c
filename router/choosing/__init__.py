"""Which pool: features of the prompt, price, and a rule that says its reasons. Pure; `choose.py` is the way in."""
