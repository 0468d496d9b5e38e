"""How good a model is: the measures, and the model card that states them."""
