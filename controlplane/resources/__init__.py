"""The three custom resources: what people write, typed; their CRDs are generated from here."""
