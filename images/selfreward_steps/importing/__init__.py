"""What comes into a run from outside: models, seed data and the user's judge template."""
