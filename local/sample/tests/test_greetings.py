"""The rules of greeting, and the settings."""

import unittest

from app.greetings import BadName, greeting
from app.settings import BadSettings, Settings


class Greetings(unittest.TestCase):
    def test_somebody_is_greeted_by_name(self) -> None:
        self.assertEqual(greeting(" Ada "), "Hello, Ada!")

    def test_a_name_that_cannot_be_greeted_is_refused(self) -> None:
        for name in ("", "   ", "x" * 101, "a\nb"):
            with self.subTest(name=name), self.assertRaises(BadName):
                greeting(name)


class ReadingSettings(unittest.TestCase):
    def test_what_was_delivered_comes_from_the_environment(self) -> None:
        settings = Settings.load({"PORT": "9", "SLIPWAY_VERSION": "1.2.3", "SLIPWAY_COMMIT": "abc"})
        self.assertEqual((settings.port, settings.version, settings.commit), (9, "1.2.3", "abc"))

    def test_an_empty_environment_gives_the_defaults(self) -> None:
        self.assertEqual(Settings.load({}), Settings())

    def test_a_port_that_is_none_is_refused(self) -> None:
        for port in ("", "http", "-1", "65536"):
            with self.subTest(port=port), self.assertRaises(BadSettings):
                Settings.load({"PORT": port})
