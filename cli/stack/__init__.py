"""What `headgate up` runs: headgate.yaml, what it becomes, and the running whole."""
