"""Pure decisions: what is seen → what to apply, what to say, when to look again."""
