"""The HTTP seam: clients, and the driver that sends what was admitted."""
