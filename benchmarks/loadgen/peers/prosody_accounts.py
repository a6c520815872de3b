"""Write Prosody internal_hashed accounts u0..uN-1 (password pw). usage: prosody_accounts.py DATA HOST N"""

import hashlib
import hmac
import os
import sys

data, host, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
folder = os.path.join(data, host.replace(".", "%2e").replace("-", "%2d"), "accounts")
os.makedirs(folder, exist_ok=True)
salt, iterations = "saltsaltsalt", 10000
salted = hashlib.pbkdf2_hmac("sha1", b"pw", salt.encode(), iterations)
client_key = hmac.new(salted, b"Client Key", "sha1").digest()
stored_key = hashlib.sha1(client_key).hexdigest()
server_key = hmac.new(salted, b"Server Key", "sha1").hexdigest()
for i in range(count):
    with open(os.path.join(folder, f"u{i}.dat"), "w") as out:
        out.write(
            f'return {{\n["stored_key"]="{stored_key}";\n["server_key"]="{server_key}";\n'
            f'["salt"]="{salt}";\n["iteration_count"]={iterations};\n}};\n'
        )
