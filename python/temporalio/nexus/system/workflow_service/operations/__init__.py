"""Calls of the server's own workflow service."""
