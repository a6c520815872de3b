// @xmpp/client by SASL2, Bind 2 and FAST: it tells what went over the wire from its first attempt to the features behind success.
import { account, debug, play, tell } from './person.mjs';
import { client, xml } from '@xmpp/client';
import debugStanzas from '@xmpp/debug';

const SASL2 = 'urn:xmpp:sasl:2';
const BIND2 = 'urn:xmpp:bind:0';
const { domain, user, password } = account;
const userAgent = xml('user-agent', { id: 'd4565fa7-4d72-4749-b3d3-740edbf87770' }, xml('software', {}, 'interop'));
let entity;

// The client looks for the answer to its header, and to its end, once that was written: a server on this machine can be faster.
function lookFirst(made) {
  const write = made.write.bind(made);
  made.write = async (text) => {
    write(text).catch((error) => tell('complaint', { text: error.message }));
  };
}

function make(service, state) {
  const made = client({ service, domain, username: user, password, resource: 'xmppjs', userAgent });
  if (debug) debugStanzas(made, true);
  lookFirst(made);
  made.on('error', (error) => tell('complaint', { text: error.message }));
  made.fast.fetchToken = async () => state.token;
  made.fast.saveToken = async (token) => { state.token = token; };
  made.fast.deleteToken = async () => { state.token = null; };
  return made;
}

function watch(made) {
  const wire = [];
  const settled = new Promise((resolve) => {
    made.on('element', (element) => {
      wire.push(['in', element]);
      if (element.is('features') && wire.some(([, seen]) => seen.is('success', SASL2))) resolve();
    });
  });
  made.on('send', (element) => wire.push(['out', element]));
  return { wire, settled };
}

await play({
  async login({ url, token }) {
    const state = { token: token ? JSON.parse(token) : null };
    entity = make(url, state);
    const { wire, settled } = watch(entity);
    const jid = await entity.start();
    await settled;
    await entity.iqCaller.request(xml('iq', { type: 'get', to: domain }, xml('ping', 'urn:xmpp:ping')));
    const first = wire.findIndex(([, element]) => element.is('authenticate', SASL2));
    const end = wire.findIndex(([, element]) => element.is('success', SASL2));
    const success = wire[end][1];
    tell('online', {
      jid: String(jid),
      identity: success.getChildText('authorization-identifier'),
      bound: Boolean(success.getChild('bound', BIND2)),
      exchange: wire.slice(first, end + 2).map(([way, element]) => `${way} ${element.getName()}`),
      mechanism: wire[first][1].attrs.mechanism,
      token: JSON.stringify(state.token),
    });
  },
  async leave() {
    await entity.stop();
    tell('offline');
  },
});
