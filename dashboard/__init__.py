"""The web app: one page per question, drawn from gradlab's public functions."""
