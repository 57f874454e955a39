// An agent that says back what it is told, and how often it was told something.

import * as messaging from 'swarm:agent/messaging@0.1.0';

// What this agent keeps from one message to the next.
let told = 0;

// Content is bytes. There is no TextEncoder; this one is for ASCII, see examples/guests/word-count-js for all of UTF-8.
const encode = (text) => new Uint8Array([...text].map((character) => character.charCodeAt(0) & 0x7f));
const decode = (bytes) => String.fromCharCode(...bytes);

// The answer to a message, as FIPA wants it; the host fills in from whom it is and to whom it goes.
const reply = (message, performative, text) => ({
  performative,
  receivers: [],
  replyTo: [],
  content: encode(text),
  contentType: 'text/plain',
  language: message.language,
  encoding: message.encoding,
  ontology: message.ontology,
  protocol: message.protocol,
  conversationId: message.conversationId,
  inReplyTo: message.replyWith,
  userParameters: [],
});

export const lifecycle = {
  // A life begins; what is thrown here is why the agent did not start.
  onStart(_config) {},

  onMessage(message) {
    if (message.performative !== 'request') return;
    told++;
    messaging.answer(reply(message, 'inform', `${decode(message.content ?? [])} (${told})`));
  },

  onTimer(_timer, _tag) {},

  // An ordered end; never after a crash.
  onStop(_reason) {},

  // The state, for another version of this code.
  snapshot() {
    return { version: 1, bytes: encode(String(told)) };
  },

  restore(state) {
    if (state.version !== 1) throw `cannot read a state of version ${state.version}`;
    told = Number(decode(state.bytes));
  },
};
