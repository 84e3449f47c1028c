"""Fits the predictor of quality from recorded outcomes, and reports on it. The router reads only the artefact."""
