"""An app whose declaration is wrong: the parameter is not the binding's name."""

import azure.functions as func

app = func.FunctionApp()


@app.route("bad", methods=["GET"])
async def badly_declared(request: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("never")
