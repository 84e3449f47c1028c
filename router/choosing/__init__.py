"""Which pool: what its answer is probably worth, what it costs and how late it is, ranked by a policy that says why. Pure."""
