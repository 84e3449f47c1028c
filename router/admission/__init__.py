"""Who may ask, and how much. Decisions here are pure; the fronts and the dispatcher act on them."""
