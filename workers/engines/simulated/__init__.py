"""No weights, no model: words by a hash, times by a profile. Always says that it is simulated."""
