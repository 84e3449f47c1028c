"""What a worker needs to live inside Ray: where its replicas go, a Ray on this machine, and an end before Ray's own."""
