"""The local inbox: takes signed webhooks as a helpdesk would, shows the tickets, and fails on purpose when told to."""
