"""SASL mechanisms as steps: bytes in, bytes or a claim out."""
