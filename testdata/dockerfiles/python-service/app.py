"""Says hello, and who says it."""

import getpass
import os

from flask import Flask
from waitress import serve

app = Flask(__name__)


@app.get("/")
def hello():
    return {"hello": "world", "user": getpass.getuser()}


@app.get("/health")
def health():
    return "ok"


if __name__ == "__main__":
    serve(app, host="0.0.0.0", port=int(os.environ["PORT"]))
