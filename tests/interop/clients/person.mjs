// Somebody at a client that runs in Node: told what to do by JSON lines on stdin, telling by JSON lines on stdout what is
// to be seen. tests/interop/person.py is the other end, and says what each deed and each event means.
//
//   node SCRIPT '{"domain": ..., "user": ..., "password": ..., "url": ...}'   without a url the client finds the server itself
//   NODE_EXTRA_CA_CERTS   the authority that signed the servers' certificates
//   INTEROP_DEBUG=1       prints every stanza
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket; // Node before 22 has none.

export const account = JSON.parse(process.argv[2]);
export const debug = Boolean(process.env.INTEROP_DEBUG);
export const bare = (jid) => String(jid).split('/')[0];

export function tell(event, facts = {}) {
  console.log(JSON.stringify({ event, ...facts }));
}

function fail(error) {
  tell('failed', { error: String(error?.stack || error?.condition || JSON.stringify(error)) });
  process.exit(1);
}

// Do what is asked, one after the other, until stdin ends; then `end` what must not stay.
export async function play(deeds) {
  tell('ready', { deeds: Object.keys(deeds) });
  for await (const line of createInterface({ input: process.stdin })) {
    const { deed, ...facts } = JSON.parse(line);
    await deeds[deed](facts);
  }
  await deeds.end?.();
  process.exit(0);
}

process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);
