"""Four nets on small files that can be swapped for one's own: tags, labels, a text from a vector, a text from a text."""
