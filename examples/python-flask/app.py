#!/usr/bin/env python3
"""A page by Flask. With the argument `check` it asks itself for the page once, and ends."""

import sys

from flask import Flask

app = Flask(__name__)


@app.get("/")
def front():
    return "hello from Flask\n"


if sys.argv[1:] == ["check"]:
    print(app.test_client().get("/").text, end="")
elif __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
