"""What is learnt while serving, on top of what was trained: corrections, bounded exploration, and the watch over both."""
