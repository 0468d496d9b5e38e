"""What the commands do that look at posts, tickets and dead letters, and that send some of them again."""
