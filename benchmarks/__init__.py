"""What sending costs, measured: `make bench` (issue 3, "Numbers"). Only loopback is contacted."""
