"""From sources to plaint.posts: one file a source, publishing with every record acknowledged."""
