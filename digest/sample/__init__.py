"""A small sample blog, made as RFE/RL's publishing system makes one: for `digest demo` and for tests."""

from digest.sample.blog import SampleBlog

__all__ = ["SampleBlog"]
