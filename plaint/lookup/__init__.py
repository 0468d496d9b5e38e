"""What the topics say of posts, tickets and dead letters, for those who look: nothing here writes."""
