"""The page that Prometheus scrapes, for super-admins and whoever holds the metrics token."""
