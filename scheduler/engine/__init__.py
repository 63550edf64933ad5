"""Admission: scopes, lanes, waiters and reservations. The only place where a request is let through."""
