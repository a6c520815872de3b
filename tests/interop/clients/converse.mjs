// Converse.js in headless Chromium: what is told is what its own models and its page show.
//
// The browser's home is the current folder, in which certutil has made the servers' authority known, as a person would.
// Who leaves takes a picture of the page.
import { account, debug, play, tell } from './person.mjs';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const types = { '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm' };

// The page and Converse's files, from this machine.
async function serve() {
  const root = path.join(here, 'node_modules/converse.js/dist');
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = pathname === '/' ? path.join(here, 'converse.html') : path.join(root, pathname.replace(/^\/dist\//, ''));
    response.setHeader('content-type', pathname === '/' ? 'text/html' : types[path.extname(file)] ?? 'application/octet-stream');
    fs.createReadStream(file).on('error', () => response.writeHead(404).end()).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}/`;
}

async function launch(home) {
  const store = path.join(home, '.pki/nssdb');
  fs.mkdirSync(store, { recursive: true });
  const certutil = (...rest) => execFileSync('certutil', ['-d', `sql:${store}`, ...rest]);
  certutil('-N', '--empty-password');
  certutil('-A', '-n', 'authority', '-t', 'C,,', '-i', process.env.NODE_EXTRA_CA_CERTS);
  return chromium.launchPersistentContext(path.join(home, 'profile'), {
    executablePath: '/usr/bin/chromium',
    env: { ...process.env, HOME: home },
    viewport: { width: 1100, height: 700 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}

// What was asked of the server and not answered. Every such request would stall a client.
const unanswered = new Map();

function watch(page) {
  const attribute = (text, name) => new RegExp(`^<iq[^>]*\\s${name}=["']([^"']*)`).exec(text)?.[1];
  page.on('websocket', (socket) => {
    tell('websocket', { url: socket.url() });
    socket.on('framesent', ({ payload }) => {
      if (debug) console.log('>', payload);
      if (['get', 'set'].includes(attribute(payload, 'type'))) unanswered.set(attribute(payload, 'id'), payload);
    });
    socket.on('framereceived', ({ payload }) => {
      if (debug) console.log('<', payload);
      if (['result', 'error'].includes(attribute(payload, 'type'))) unanswered.delete(attribute(payload, 'id'));
    });
  });
  page.on('pageerror', (error) => tell('complaint', { text: error.message }));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) tell('complaint', { text: `${message.text()} ${message.location().url}` });
    else if (debug) console.log(message.text());
  });
}

// In the page: start Converse, and tell what becomes of its contacts and messages. Resolves when it is on line.
function start({ domain, user, password, url, debug }) {
  const { converse, tell } = window;
  return new Promise((resolve) => {
    converse.plugins.add('interop', {
      initialize() {
        const { api } = this._converse;
        window.api = api;
        const shown = (contact) => {
          const [jid, status] = [contact.get('jid'), contact.getStatus()];
          tell('contact', { jid, subscription: contact.get('subscription'), called: contact.get('nickname') });
          if (contact.get('requesting')) return tell('presence', { from: jid, type: 'subscribe' });
          if (status === 'offline') return tell('presence', { from: jid, type: 'unavailable' });
          return tell('presence', { from: jid, show: status === 'online' ? null : status });
        };
        api.listen.on('rosterInitialized', (roster) => {
          roster.on('add change', shown);
          roster.on('remove', (contact) => tell('contact', { jid: contact.get('jid'), subscription: 'remove' }));
        });
        api.listen.on('contactPresenceChanged', shown);
        api.listen.on('message', async ({ attrs: { from, contact_jid, type, body } }) => {
          if (!body) return;
          await api.chats.open(contact_jid, {}, true);
          while (!document.body.innerText.includes(body)) await new Promise(requestAnimationFrame);
          tell('message', { from, type, text: body });
        });
        api.listen.on('connected', async () => {
          await api.waitUntil('rosterContactsFetched');
          resolve(this._converse.session.get('jid'));
        });
      },
    });
    converse.initialize({
      jid: `${user}@${domain}`, password, authentication: 'login', auto_login: true, auto_reconnect: false,
      discover_connection_methods: !url, ...(url && { websocket_url: url }),
      view_mode: 'fullscreen', theme: 'classic', i18n: 'en', show_controlbox_by_default: true, assets_path: '/dist/',
      loglevel: debug ? 'debug' : 'warn', whitelisted_plugins: ['interop'],
    });
  });
}

const address = await serve();
const context = await launch(process.cwd());
const page = context.pages()[0] ?? await context.newPage();
await page.exposeFunction('tell', tell);
watch(page);

// Run `deed` in the page, with Converse's API in `api`.
const within = (deed) => (facts) => page.evaluate(deed, facts);

await play({
  async login() {
    await page.goto(address);
    await page.waitForFunction(() => window.converse?.initialize);
    tell('online', { jid: await page.evaluate(start, { ...account, debug }) });
  },
  ping: async () => {
    await page.evaluate((domain) => window.api.ping(domain), account.domain);
    tell('pong');
  },
  say: within(async ({ to, text }) => {
    const chat = await window.api.chats.open(to.split('/')[0], {}, true); // people do not write to resources
    await chat.sendMessage({ body: text }); // whose result is a model, which does not fit through the wire
  }),
  show: within(({ show }) => window.api.user.status.set(show)),
  subscribe: within(async ({ to }) => {
    const known = await window.api.contacts.get(to);
    if (known) known.subscribeToPresence();
    else await window.api.contacts.add({ jid: to });
  }),
  approve: within(async ({ to }) => {
    (await window.api.contacts.get(to)).authorize();
  }),
  remove: within(({ jid }) => window.api.contacts.remove(jid, true)),
  leave: async () => {
    await page.screenshot({ path: `leaving-${Date.now()}.png` });
    const late = Date.now() + 20_000;
    while (unanswered.size && Date.now() < late) await page.waitForTimeout(50);
    tell('asked', { unanswered: [...unanswered.values()] });
    await page.evaluate(() => window.api.user.logout());
    unanswered.clear();
    tell('offline');
  },
  end: () => context.close(),
});
