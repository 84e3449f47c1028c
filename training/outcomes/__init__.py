"""Recorded outcomes: what each pool's answer to a prompt was worth, cost and length."""
