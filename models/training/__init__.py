"""From labelled posts to weights. Needs the `train` extra; nothing that serves imports it."""
