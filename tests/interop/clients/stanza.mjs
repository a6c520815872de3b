// StanzaJS, with its own roster and its own search for the server (host-meta.json and host-meta).
import { account, bare, debug, play, tell } from './person.mjs';
import { createClient } from 'stanza';

let client;

function make({ domain, user, password, url }) {
  const transports = { websocket: url || true, bosh: false };
  const made = createClient({ jid: `${user}@${domain}`, password, resource: 'stanza', transports, autoReconnect: false });
  if (debug) made.on('raw:*', (direction, data) => console.log(direction, data));
  made.on('presence', ({ from, type, show }) => tell('presence', { from, type, show }));
  made.on('message', ({ from, type, body }) => body && tell('message', { from, type, text: body }));
  made.on('roster:update', ({ roster }) => items(roster));
  return made;
}

function items(roster) {
  for (const { jid, subscription } of roster.items) tell('contact', { jid: bare(jid), subscription });
}

const connect = () => new Promise((resolve, reject) => {
  client.on('session:started', resolve);
  client.on('auth:failed', () => reject(new Error('auth:failed')));
  client.on('disconnected', () => reject(new Error('disconnected')));
  client.connect();
});

await play({
  async login() {
    client = make(account);
    await connect();
    items(await client.getRoster());
    client.sendPresence();
    tell('online', { jid: client.jid, url: client.transport.url });
  },
  ping: async () => {
    await client.ping(account.domain);
    tell('pong');
  },
  say: ({ to, text }) => client.sendMessage({ to, type: 'chat', body: text }),
  show: ({ show }) => client.sendPresence({ show }),
  subscribe: ({ to }) => client.subscribe(to),
  approve: ({ to }) => client.acceptSubscription(to),
  remove: ({ jid }) => client.removeRosterItem(jid),
  leave: () => new Promise((resolve) => {
    client.on('disconnected', () => {
      tell('offline');
      resolve();
    });
    client.disconnect();
  }),
});
