// node talk.mjs: juliet says something to romeo, who is on the other server, and romeo answers.
import { client, xml } from "@xmpp/client";
import dns from "node:dns";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node before 22 has none
dns.lookup = (host, options, done) => done(null, options.all ? [{ address: "127.0.0.1", family: 4 }] : "127.0.0.1", 4); // no DNS here

const log_in = async (address, port) => {
  const [username, domain] = address.split("@");
  const service = `wss://${domain}:${port}/xmpp-websocket`;
  const person = client({ service, domain, username, password: "secret" });
  person.on("error", console.error);
  await person.start();
  await person.send(xml("presence"));
  return person;
};
const hear = (person) => new Promise((heard) => person.once("stanza", function again(stanza) {
  stanza.is("message") ? heard(stanza.toString()) : person.once("stanza", again);
}));

const juliet = await log_in("juliet@capulet.example", 5443);
const romeo = await log_in("romeo@montague.example", 5444);
const say = (person, to, text) => person.send(xml("message", { to, type: "chat" }, xml("body", {}, text)));

const [first, second] = [hear(romeo), hear(juliet)];
await say(juliet, "romeo@montague.example", "Art thou not Romeo?");
console.log(await first);
await say(romeo, "juliet@capulet.example", "Neither, fair maid.");
console.log(await second);
await Promise.all([juliet.stop(), romeo.stop()]);
