"""A whole Thursday on one machine, for people who look at the project for the first time."""

from digest.demo.story import run_demo

__all__ = ["run_demo"]
