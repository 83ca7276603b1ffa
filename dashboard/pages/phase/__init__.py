"""Phase: where theory puts the border between fading and exploding gradients."""
