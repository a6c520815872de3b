"""What outlives the process, behind a small interface."""
