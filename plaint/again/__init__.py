"""Sending things again: dead letters to the stage that refused them, tickets to their destination."""
