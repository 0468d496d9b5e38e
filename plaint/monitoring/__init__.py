"""What plaint tells of itself: metrics, health and state of each process, and the watchdog that ends a stalled one."""
