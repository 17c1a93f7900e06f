"""Getting in: what a log-in takes, and the rules and rows behind it. The pages of it are in `digest.web.desk`."""
