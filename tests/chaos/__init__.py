"""Long runs in which things die: ``make chaos``."""
