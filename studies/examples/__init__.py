"""Four nets on small files that can be swapped for one's own: words to tags, text to label, vector to text, text to text."""
