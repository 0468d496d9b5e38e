"""Routes and model read again while plaint runs: who uses what, who asks for it, and how a worker takes it up."""
