"""How far a finished answer can be trusted, told from the answer itself. Pure; docs/cascade.md has the formulae."""
