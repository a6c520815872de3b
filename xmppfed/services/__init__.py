"""Services, each standing alone in the MultiService with a policy of its own."""
