"""What can be watched: Prometheus metrics and the live view."""
