// What every client here needs to know: alice on one domain, bob on another (or on the same), from the environment.
//
//   XMPP_DOMAIN_A  XMPP_WS_A  XMPP_USER_A  XMPP_PW_A   and the same with _B
//   XMPP_IP_A      where the host of XMPP_WS_A is, 127.0.0.1 unless given (no resolver is asked)
//   NODE_EXTRA_CA_CERTS   the authority that signed the servers' certificates
//   INTEROP_DEBUG=1       prints every stanza
//
// A script prints one JSON object per step, and exits with 0, or with 1 after {"step": "failed", "error": ...}.
import dns from 'node:dns';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket; // Node before 22 has none.

function side(letter) {
  const need = (name) => {
    const value = process.env[`XMPP_${name}_${letter}`];
    if (!value) fail(new Error(`XMPP_${name}_${letter} is not set`));
    return value;
  };
  return {
    domain: need('DOMAIN'),
    ws: need('WS'),
    user: need('USER'),
    password: need('PW'),
    ip: process.env[`XMPP_IP_${letter}`] || '127.0.0.1',
  };
}

export function step(name, facts = {}) {
  console.log(JSON.stringify({ step: name, ...facts }));
}

export function fail(error) {
  step('failed', { error: String(error?.message || error) });
  process.exit(1);
}

// The promise, or an error that says what was waited for.
export function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const debug = Boolean(process.env.INTEROP_DEBUG);
export const sides = { a: side('A'), b: side('B') };

const addresses = new Map([sides.a, sides.b].map(({ ws, ip }) => [new URL(ws).hostname, ip]));
const lookup = dns.lookup;
dns.lookup = (host, options, callback) => {
  if (typeof options === 'function') [options, callback] = [{}, options];
  const address = addresses.get(host);
  if (!address) return lookup(host, options, callback);
  return process.nextTick(() =>
    options?.all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4));
};

process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);
