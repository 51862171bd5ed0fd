"""How far what a model is asked today is from what it was trained on."""
