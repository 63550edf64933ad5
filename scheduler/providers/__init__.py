"""What each provider means: endpoints, charge rules, headers and errors."""
