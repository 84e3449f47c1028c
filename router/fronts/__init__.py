"""Fronts: each decodes one protocol into `router.request`, hands it to the dispatcher, and encodes what comes back."""
