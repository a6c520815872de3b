// @xmpp/client, which knows no rosters: presence and roster are what it is told to send, and what comes.
import { account, debug, play, tell } from './person.mjs';
import { client, xml } from '@xmpp/client';
import debugStanzas from '@xmpp/debug';

const ROSTER = 'jabber:iq:roster';
let entity;

function make({ domain, user, password, url }) {
  const made = client({ service: url || domain, domain, username: user, password, resource: 'xmppjs' });
  if (debug) debugStanzas(made, true);
  made.on('error', (error) => tell('complaint', { text: error.message }));
  made.on('stanza', (stanza) => {
    const { from, type } = stanza.attrs;
    if (stanza.is('presence')) tell('presence', { from, type, show: stanza.getChildText('show') });
    if (stanza.is('message') && stanza.getChild('body')) tell('message', { from, type, text: stanza.getChildText('body') });
  });
  made.iqCallee.set(ROSTER, 'query', ({ element }) => items(element) && true);
  return made;
}

function items(query) {
  for (const { attrs } of query.getChildren('item')) tell('contact', { jid: attrs.jid, subscription: attrs.subscription });
  return true;
}

const presence = (attributes, ...children) => entity.send(xml('presence', attributes, ...children));
const remove = (jid) => xml('query', ROSTER, xml('item', { jid, subscription: 'remove' }));

await play({
  async login() {
    entity = make(account);
    const jid = await entity.start();
    items(await entity.iqCaller.get(xml('query', ROSTER)));
    await presence();
    tell('online', { jid: String(jid) });
  },
  ping: async () => {
    await entity.iqCaller.request(xml('iq', { type: 'get', to: account.domain }, xml('ping', 'urn:xmpp:ping')));
    tell('pong');
  },
  say: ({ to, text }) => entity.send(xml('message', { type: 'chat', to }, xml('body', {}, text))),
  show: ({ show }) => presence({}, xml('show', {}, show)),
  subscribe: ({ to }) => presence({ type: 'subscribe', to }),
  approve: ({ to }) => presence({ type: 'subscribed', to }),
  remove: ({ jid }) => entity.iqCaller.set(remove(jid)),
  // The library answers what it does not know with service-unavailable: proof of the way there and back.
  ask: async ({ to }) => {
    const request = xml('iq', { type: 'get', to }, xml('query', 'urn:xmppfed:interop'));
    const answer = await entity.iqCaller.request(request).then(() => 'a result', (error) => error.condition ?? String(error));
    tell('answer', { from: to, answer });
  },
  leave: async () => {
    await entity.stop();
    tell('offline');
  },
});
