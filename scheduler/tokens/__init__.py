"""Sizes of requests before they are sent."""
