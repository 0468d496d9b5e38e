"""From posts to triage: the batch function and the policy of urgency. Plain functions, no broker."""
