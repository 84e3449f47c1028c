"""Finds the arrays of a predictor: features of the prompts, parts of the model, their mixture, calibration."""
