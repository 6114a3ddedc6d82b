"""What controld asks of an agent over HTTPS, by noun."""
