"""Bulk jobs: JSONL in, JSONL out."""
