"""Logits -> LossReport: the terms of the objective, the passes they need, their weighted total."""
