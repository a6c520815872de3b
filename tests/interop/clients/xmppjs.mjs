// @xmpp/client: login, roster, ping; messages and an IQ across the domains, both ways; resumption where the server offers it.
import { debug, fail, sides, step, within } from './settings.mjs';
import { client, xml } from '@xmpp/client';
import debugStanzas from '@xmpp/debug';

const features = {};

function make(name, { ws, domain, user, password }) {
  const entity = client({ service: ws, domain, username: user, password, resource: 'xmppjs' });
  if (debug) debugStanzas(entity, true);
  entity.on('error', (error) => step('error', { side: name, error: error.message }));
  entity.on('nonza', (element) => {
    if (element.is('features')) features[name] = element.children.map((child) => child.name);
  });
  return entity;
}

const next = (entity, test) =>
  new Promise((resolve) => {
    entity.on('stanza', function listener(stanza) {
      if (test(stanza)) {
        entity.off('stanza', listener);
        resolve(stanza);
      }
    });
  });

async function say(from, to, sender, text) {
  const arrival = next(to, (stanza) => stanza.is('message') && stanza.getChildText('body') === text);
  const start = performance.now();
  await from.send(xml('message', { type: 'chat', to: String(to.jid) }, xml('body', {}, text)));
  const message = await within(20, `message "${text}"`, arrival);
  if (message.attrs.from !== sender) throw new Error(`message from ${message.attrs.from}, wanted ${sender}`);
  step('message', { from: message.attrs.from, to: String(to.jid), ms: Math.round(performance.now() - start) });
}

// Neither library answers a ping by itself, so service-unavailable from the other client is the proof of the way there and back.
async function ask(from, to) {
  const request = xml('iq', { type: 'get', to: String(to.jid) }, xml('query', 'urn:xmppfed:interop'));
  const answer = await within(20, 'answer to an IQ', from.iqCaller.request(request).then(
    () => { throw new Error('an unknown request was answered with a result'); },
    (error) => error.condition ?? String(error)));
  if (answer !== 'service-unavailable') throw new Error(`IQ answered with ${answer}, wanted service-unavailable`);
  step('iq', { from: String(from.jid), to: String(to.jid), answer });
}

async function drop(entity) {
  const management = entity.streamManagement;
  if (!management?.enabled) return step('resumption', { offered: false });
  const resumed = new Promise((resolve) => management.on('resumed', () => resolve('resumed')));
  const fresh = new Promise((resolve) => entity.on('online', () => resolve('a new session')));
  entity.socket.socket ? entity.socket.socket.close?.() : entity.socket.close();
  const result = await within(20, 'reconnection', Promise.race([resumed, fresh]));
  if (result !== 'resumed') throw new Error(`after a lost connection: ${result}, wanted resumption`);
  return step('resumption', { offered: true, result });
}

async function main() {
  const a = make('a', sides.a);
  const b = make('b', sides.b);
  const [alice, bob] = await within(20, 'login', Promise.all([a.start(), b.start()]));
  step('online', { a: String(alice), b: String(bob), features });
  await Promise.all([a.send(xml('presence')), b.send(xml('presence'))]);
  // A server without rosters says so at once; no answer at all would stall a client.
  step('roster', await within(20, 'answer about the roster', a.iqCaller.get(xml('query', 'jabber:iq:roster')).then(
    (roster) => ({ items: roster.children.length }),
    (error) => {
      if (error.condition !== 'service-unavailable') throw error;
      return { answer: error.condition };
    })));
  await within(20, 'pong', a.iqCaller.request(
    xml('iq', { type: 'get', to: sides.a.domain }, xml('ping', 'urn:xmpp:ping'))));
  step('ping');
  await say(a, b, String(alice), 'hello ✓ from a');
  await say(b, a, String(bob), 'hello ✓ from b');
  await ask(a, b);
  await ask(b, a);
  await drop(a);
  await say(b, a, String(bob), 'still there?');
  await within(10, 'orderly end', Promise.all([a.stop(), b.stop()]));
  step('done');
  process.exit(0);
}

main().catch(fail);
