"""Delivery without a broker: what a destination's log says, what comes next for each ticket, and when."""
