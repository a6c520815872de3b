"""Register u0..uN-1 (password pw) through ejabberd's HTTP API. usage: ejabberd_accounts.py PORT N"""

import http.client
import json
import sys

port, count = int(sys.argv[1]), int(sys.argv[2])
api = http.client.HTTPConnection("127.0.0.1", port)
for i in range(count):
    body = json.dumps({"user": f"u{i}", "host": "localhost", "password": "pw"})
    api.request("POST", "/api/register", body, {"Content-Type": "application/json"})
    answer = api.getresponse()
    answer.read()
    if answer.status not in (200, 409):
        sys.exit(f"register: HTTP {answer.status}")
