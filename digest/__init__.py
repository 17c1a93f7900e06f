"""The weekly issue: gathered, drafted, approved, rendered, sent and archived."""
