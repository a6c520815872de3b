// Strophe.js: login, roster, and messages across the domains, both ways.
import { debug, fail, sides, step, within } from './settings.mjs';

const module = await import('strophe.js');
const { Strophe, $iq, $msg, $pres } = module.default?.Strophe ? module.default : module;
Strophe.setLogLevel?.(debug ? Strophe.LogLevel.DEBUG : Strophe.LogLevel.ERROR);

function login({ ws, domain, user, password }) {
  return new Promise((resolve, reject) => {
    const connection = new Strophe.Connection(ws);
    const { AUTHFAIL, CONNECTED, CONNFAIL, ERROR } = Strophe.Status;
    connection.connect(`${user}@${domain}/strophe`, password, (status, condition) => {
      if (status === CONNECTED) resolve(connection);
      if ([AUTHFAIL, CONNFAIL, ERROR].includes(status)) {
        const name = Object.keys(Strophe.Status).find((key) => Strophe.Status[key] === status);
        reject(new Error(`login of ${user}@${domain}: ${name} (${condition})`));
      }
    });
  });
}

async function say(from, to, text) {
  const arrival = new Promise((resolve) => {
    to.addHandler((stanza) => {
      if (stanza.getElementsByTagName('body')[0]?.textContent !== text) return true;
      resolve(stanza);
      return false;
    }, null, 'message');
  });
  const start = performance.now();
  from.send($msg({ to: to.jid, type: 'chat' }).c('body').t(text).tree());
  const message = await within(20, `message "${text}"`, arrival);
  const sender = message.getAttribute('from');
  if (sender !== from.jid) throw new Error(`message from ${sender}, wanted ${from.jid}`);
  step('message', { from: sender, to: to.jid, ms: Math.round(performance.now() - start) });
}

async function main() {
  const [a, b] = await within(20, 'login', Promise.all([login(sides.a), login(sides.b)]));
  step('online', { a: a.jid, b: b.jid });
  a.send($pres().tree());
  b.send($pres().tree());
  // An answered IQ on each side tells that the presence before it was handled: no need to wait a while.
  // (A server without rosters answers with an error, which tells the same.)
  const answers = await within(20, 'answer about the roster', Promise.all([a, b].map((connection) => new Promise((resolve) => {
    connection.sendIQ($iq({ type: 'get' }).c('query', { xmlns: 'jabber:iq:roster' }), resolve, resolve);
  }))));
  step('roster', { answers: answers.map((answer) => answer.getAttribute('type')) });
  await say(a, b, 'hello ✓ from a');
  await say(b, a, 'hello ✓ from b');
  const ended = Promise.all([a, b].map((connection) => new Promise((resolve) => {
    connection.connect_callback = (status) => status === Strophe.Status.DISCONNECTED && resolve();
  })));
  a.disconnect();
  b.disconnect();
  await within(10, 'orderly end', ended);
  step('done');
  process.exit(0);
}

main().catch(fail);
