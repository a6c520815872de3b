#!/usr/bin/env bash
# Start a reference server for side-by-side figures, everything on loopback, state in a throw-away folder.
# usage: start.sh prosody|ejabberd DIR USERS HTTP-PORT HTTPS-PORT     (Debian packages prosody, ejabberd, lua-unbound; openssl)
# Prints "PID WS_URL WSS_URL" when it is ready; users u0..uN-1, password pw, domain localhost. Stop it with: kill PID
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=$1 dir=$(mkdir -p "$2" && cd "$2" && pwd) users=$3 http=$4 https=$5
cd "$dir"
if [ ! -f key.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout key.pem -out cert.pem \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost 2> /dev/null
fi
cat cert.pem key.pem > both.pem
chmod 644 key.pem both.pem
# Poll until somebody listens on the port, for up to 60 seconds; give up at once when the server has ended.
wait_port() {
    for _ in $(seq 600); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then return 0; fi
        if ! kill -0 "$pid" 2> /dev/null; then break; fi
        sleep 0.1
    done
    echo "$what does not listen on port $1:" >&2
    tail -n 20 out.log >&2
    kill "$pid" 2> /dev/null || true
    exit 1
}
fill() {
    sed -e "s#@DIR@#$dir#g" -e "s#@HTTP@#$http#g" -e "s#@HTTPS@#$https#g" "$1"
}
case $what in
    prosody)
        mkdir -p data
        fill "$here/prosody.cfg.lua.in" > prosody.cfg.lua
        python3 "$here/prosody_accounts.py" data localhost "$users"
        prosody --config "$dir/prosody.cfg.lua" -F > out.log 2>&1 < /dev/null &
        pid=$!
        wait_port "$http"
        wait_port "$https"
        echo "$pid ws://127.0.0.1:$http/xmpp-websocket wss://localhost:$https/xmpp-websocket"
        ;;
    ejabberd)
        mkdir -p spool
        fill "$here/ejabberd.yml.in" > ejabberd.yml
        EJABBERD_CONFIG_PATH=$dir/ejabberd.yml EJABBERD_LOG_PATH=$dir/ejabberd.log ERL_LIBS=/usr/lib/x86_64-linux-gnu \
            ERL_MAX_PORTS=32000 ERL_MAX_ETS_TABLES=1400 ERL_CRASH_DUMP_BYTES=0 HOME=$dir \
            erl +K true +P 250000 -noshell -noinput -mnesia dir "\"$dir/spool\"" -s ejabberd > out.log 2>&1 < /dev/null &
        pid=$!
        wait_port "$http"
        python3 "$here/ejabberd_accounts.py" "$http" "$users"
        echo "$pid ws://127.0.0.1:$http/ws wss://localhost:$https/ws"
        ;;
    *)
        echo "prosody or ejabberd" >&2
        exit 2
        ;;
esac
