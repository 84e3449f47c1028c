"""What a fitted predictor is worth, and where it must not be trusted: figures, pictures, a page and a terminal view."""
