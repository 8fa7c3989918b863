"""A small web service that greets people and says what of it is running."""
