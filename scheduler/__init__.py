"""Rate-limit-aware request scheduling for LLM APIs."""
