"""The weekly issue: drafted, selected, edited, checked, published, planned."""
