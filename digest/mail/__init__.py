"""From an issue's content to "accepted": render, wire, ledger, SMTP, replies."""
