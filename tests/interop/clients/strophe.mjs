// Strophe.js, which knows neither rosters nor how to find a server: it is given a URL.
import { account, debug, play, tell } from './person.mjs';

const module = await import('strophe.js');
const { Strophe, $iq, $msg, $pres } = module.default?.Strophe ? module.default : module;
Strophe.setLogLevel?.(debug ? Strophe.LogLevel.DEBUG : Strophe.LogLevel.ERROR);
let connection;

function connect({ domain, user, password, url }) {
  connection = new Strophe.Connection(url);
  if (debug) [connection.rawInput, connection.rawOutput] = [(data) => console.log('<', data), (data) => console.log('>', data)];
  return new Promise((resolve, reject) => {
    const { AUTHFAIL, CONNECTED, CONNFAIL, DISCONNECTED, ERROR } = Strophe.Status;
    connection.connect(`${user}@${domain}/strophe`, password, (status, condition) => {
      if (status === CONNECTED) resolve();
      if (status === DISCONNECTED) tell('offline');
      if ([AUTHFAIL, CONNFAIL, ERROR].includes(status)) {
        const name = Object.keys(Strophe.Status).find((key) => Strophe.Status[key] === status);
        reject(new Error(`login of ${user}@${domain}: ${name} (${condition})`));
      }
    });
  });
}

function watch() {
  const always = (see) => (stanza) => see(stanza) ?? true;
  const text = (stanza, name) => stanza.getElementsByTagName(name)[0]?.textContent;
  connection.addHandler(always((stanza) => {
    const [from, type] = [stanza.getAttribute('from'), stanza.getAttribute('type') ?? undefined];
    tell('presence', { from, type, show: text(stanza, 'show') });
  }), null, 'presence');
  connection.addHandler(always((stanza) => {
    const [from, type] = [stanza.getAttribute('from'), stanza.getAttribute('type')];
    if (text(stanza, 'body')) tell('message', { from, type, text: text(stanza, 'body') });
  }), null, 'message');
  connection.addHandler(always((push) => {
    items(push);
    connection.send($iq({ type: 'result', id: push.getAttribute('id') }));
  }), Strophe.NS.ROSTER, 'iq', 'set');
}

function items(stanza) {
  for (const item of stanza.getElementsByTagName('item')) {
    tell('contact', { jid: item.getAttribute('jid'), subscription: item.getAttribute('subscription') });
  }
}

const request = (iq) => new Promise((resolve, reject) => {
  connection.sendIQ(iq, resolve, (error) => reject(new Error(error?.outerHTML ?? String(error))));
});

await play({
  async login() {
    await connect(account);
    watch();
    items(await request($iq({ type: 'get' }).c('query', { xmlns: Strophe.NS.ROSTER })));
    connection.send($pres());
    tell('online', { jid: connection.jid });
  },
  ping: async () => {
    await request($iq({ type: 'get', to: account.domain }).c('ping', { xmlns: 'urn:xmpp:ping' }));
    tell('pong');
  },
  say: ({ to, text }) => connection.send($msg({ to, type: 'chat' }).c('body').t(text)),
  show: ({ show }) => connection.send($pres().c('show').t(show)),
  subscribe: ({ to }) => connection.send($pres({ to, type: 'subscribe' })),
  approve: ({ to }) => connection.send($pres({ to, type: 'subscribed' })),
  remove: ({ jid }) => request(
    $iq({ type: 'set' }).c('query', { xmlns: Strophe.NS.ROSTER }).c('item', { jid, subscription: 'remove' })),
  leave: () => connection.disconnect(),
});
