"""The same application as a Functions app, the way Microsoft documents it: one catch-all HTTP function."""

import azure.functions as func

from bench.reference.main import app as application
from bench.standing import composition

__all__ = ["app", "composition"]

app = func.AsgiFunctionApp(app=application, http_auth_level=func.AuthLevel.ANONYMOUS)
