"""From triage to tickets to answers: rules, tickets, the state of each delivery, destinations. No broker in it."""
