"""From a source to stored posts: fetch, parse, decide, refresh."""
