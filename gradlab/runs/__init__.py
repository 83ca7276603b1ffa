"""A configuration, or a network and data, to labelled results and their verdict."""
