"""Programs kept running: started, watched, started again, and never left behind."""
