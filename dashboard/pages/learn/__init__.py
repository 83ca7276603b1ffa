"""Learn: eleven questions about recurrent nets, each with a figure to guess at and then to touch."""
