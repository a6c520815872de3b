"""Tests of the module of rosters."""
