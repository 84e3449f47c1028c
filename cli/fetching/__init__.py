"""Model weights brought here: found, downloaded, checked, converted, kept."""
