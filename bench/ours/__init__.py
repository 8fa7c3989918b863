"""A Functions app on the real kit, units and store, whose one write is row for row the reference's."""
