"""Four nets on small files that can be swapped for one's own: tags, a label, a text from a vector, or from a text."""
